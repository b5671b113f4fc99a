"""One trial of a search: fitted in memory to train, measured on validation, on every cut."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from jaxrec.commands.fit import fit_baseline
from jaxrec.commands.measure import Measure
from jaxrec.commands.ranker import ranker
from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.gcn.model import Embeddings
from jaxrec.rank.top_k import Scorer
from jaxrec.report.console import Console
from jaxrec.train.setup import build, check_memory


@dataclasses.dataclass(frozen=True)
class Candidate:
    """How good some settings are.

    Attributes:
      score: `eval.metric` on all users of the validation part, the mean over the cuts.
      epochs: after how many epochs; None where the method has none.
      pruned: whether it was given up before its end.
    """

    score: float
    epochs: int | None
    pruned: bool = False


def fit_candidate(
    config: RunConfig,
    splits: Sequence[Split],
    console: Console,
    *,
    description: str,
    give_up: Callable[[int, float], bool],
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

    Raises:
      RunError: the loss or the scores became NaN or infinite.
      UserError: the settings don't suit the data, each other or the memory.
    """
    configs = [with_fields(config, {"seed": config.seed + k}) for k in range(len(splits))]
    pairs = list(zip(configs, splits, strict=True))
    measures = [Measure(own, split, peek=False) for own, split in pairs]
    if config.method != "gcn":
        scorers = (fit_baseline(own, split.train, console) for own, split in pairs)
        return Candidate(_mean_score(measures, scorers), None)
    check_memory(config, splits[0].train, copies=len(splits))
    setups = [build(own, split.train) for own, split in pairs]
    states = [setup.fresh_state() for setup in setups]
    any_epoch = config.lr_schedule == "constant"
    best = Candidate(-math.inf, 0)
    scores: list[float] = []
    edges_per_epoch = sum(setup.graph.num_edges for setup in setups)
    with console.progress(config.epochs * edges_per_epoch, description) as bar:
        for epoch in range(config.epochs):
            for k, setup in enumerate(setups):
                states[k], _ = setup.train_epoch(
                    states[k],
                    epoch,
                    on_steps=lambda edges, loss: bar.update(edges, loss=loss),
                )
            done = epoch + 1
            if done < config.epochs and done % config.eval.every_epochs:
                continue
            rankers = (
                ranker(setup, state.params) for setup, state in zip(setups, states, strict=True)
            )
            scores.append(_mean_score(measures, rankers))
            if scores[-1] > best.score or not any_epoch:
                best = Candidate(scores[-1], done)
            if done < config.epochs and give_up(done, scores[-1]):
                return dataclasses.replace(best, pruned=True)
            if any_epoch and measures[0].out_of_patience(scores):
                break
    return best


def _mean_score(measures: Sequence[Measure], models: Iterable[Embeddings | Scorer]) -> float:
    pairs = zip(measures, models, strict=True)
    return statistics.fmean(measure.score("validation", model) for measure, model in pairs)
