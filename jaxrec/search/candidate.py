"""Settings fitted in memory to train, on every cut: measured on validation in a trial, or not."""

import contextlib
import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.models.method import Hooks, fitted
from jaxrec.models.model import Model
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console, Progress
from jaxrec.runs.methods import Remembered, fit_model, method_of


@dataclasses.dataclass(frozen=True)
class Candidate:
    """How good some settings are.

    Attributes:
      score: `eval.metric` on all users of the validation part, the mean over the cuts.
      epochs: after how many epochs; None where the method has none.
      pruned: whether it was given up before its end.
      models: what ranks, one for each cut.
    """

    score: float
    epochs: int | None
    pruned: bool = False
    models: tuple[Model, ...] = dataclasses.field(default=(), compare=False)


def fit_candidate(
    config: RunConfig,
    splits: Sequence[Split],
    console: Console,
    *,
    description: str,
    give_up: Callable[[int, float], bool],
    remembered: Sequence[Remembered] | None = None,
    keep_models: bool = True,
) -> Candidate:
    """Fits some settings and says how good they are at their best epoch.

    With a learning rate that falls towards the last epoch, the last epoch is the only one that
    training again for that many epochs would repeat: so it counts, and patience does not.

    Args:
      config: the settings.
      splits: their train and validation parts are used, no other; the k-th, from 0, is learnt from
        with the seed `config.seed` + k.
      console: shows how far it is.
      description: of the work, for the console.
      give_up: told the score after each measured epoch; whether to go no further.
      remembered: for each split the members of a blend that earlier candidates have fitted.
      keep_models: False: of a method that is fitted in one go each cut's model is let go of once it
        is scored, so that one at a time is in memory, and the candidate has none.

    Raises:
      RunError: the loss or the scores became NaN or infinite.
      UserError: the settings don't suit the data, each other or the memory.
    """
    pairs = _with_seeds(config, splits)
    measures = [Measure(own, split, peek=False) for own, split in pairs]
    method = method_of(config)
    if method.members(config):
        known: Sequence[Remembered] = [{} for _ in splits] if remembered is None else remembered
        hooks = Hooks(console.progress)
        models = tuple(
            fit_model(own, split.train, hooks, copies=len(splits), remembered=before)
            for (own, split), before in zip(pairs, known, strict=True)
        )
        return Candidate(_mean_score(measures, models), None, models=models)
    fittings = [method.fitting(own, split.train, copies=len(splits)) for own, split in pairs]
    if not fittings[0].iterative:
        hooks = Hooks(console.progress)
        if not keep_models:  # no model has a name, which would keep it while the next one is made
            scored = (
                measure.score("validation", fitted(fitting, hooks))
                for measure, fitting in zip(measures, fittings, strict=True)
            )
            return Candidate(statistics.fmean(scored), None)
        models = tuple(fitted(fitting, hooks) for fitting in fittings)
        return Candidate(_mean_score(measures, models), None, models=models)
    states = [fitting.fresh() for fitting in fittings]
    any_epoch = config.lr_schedule == "constant"
    best = Candidate(-math.inf, 0)
    scores: list[float] = []
    epochs = fittings[0].epochs
    with console.progress(epochs * sum(fitting.work for fitting in fittings), description) as bar:
        hooks = _shown_on(bar)
        for epoch in range(epochs):
            for k, fitting in enumerate(fittings):
                states[k], _ = fitting.advance(states[k], epoch, hooks)
            done = epoch + 1
            if done < epochs and done % config.eval.every_epochs:
                continue
            models = tuple(
                fitting.model(state) for fitting, state in zip(fittings, states, strict=True)
            )
            scores.append(_mean_score(measures, models))
            if scores[-1] > best.score or not any_epoch:
                best = Candidate(scores[-1], done, models=models)
            if done < epochs and give_up(done, scores[-1]):
                return dataclasses.replace(best, pruned=True)
            if any_epoch and measures[0].out_of_patience(scores):
                break
    return best


def fit_models(
    config: RunConfig, splits: Sequence[Split], console: Console, *, description: str
) -> tuple[Model, ...]:
    """Fits some settings, all their epochs, and measures nothing.

    Args:
      config: the settings, of no blend.
      splits: as of `fit_candidate`; their train parts alone are used.
      console: shows how far it is.
      description: of the work, for the console.

    Returns:
      What ranks, one for each split.

    Raises:
      RunError: the loss became NaN or infinite.
      UserError: as of `fit_candidate`.
    """
    fittings = [
        method_of(own).fitting(own, split.train, copies=len(splits))
        for own, split in _with_seeds(config, splits)
    ]
    work = sum(fitting.epochs * fitting.work for fitting in fittings)
    if not work:
        return tuple(fitted(fitting, Hooks(console.progress)) for fitting in fittings)
    with console.progress(work, description) as bar:
        return tuple(fitted(fitting, _shown_on(bar)) for fitting in fittings)


def _with_seeds(config: RunConfig, splits: Sequence[Split]) -> list[tuple[RunConfig, Split]]:
    seeds = range(config.seed, config.seed + len(splits))
    return [(with_fields(config, {"seed": k}), own) for k, own in zip(seeds, splits, strict=True)]


def _shown_on(bar: Progress) -> Hooks:
    """All work on one bar."""
    return Hooks(lambda total, description, unit: contextlib.nullcontext(bar))


def _mean_score(measures: Sequence[Measure], models: Iterable[Model]) -> float:
    pairs = zip(measures, models, strict=True)
    return statistics.fmean(measure.score("validation", model) for measure, model in pairs)
