"""From train to the settings that are chosen: methods, what counts at ranking, a blend."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import RunError, UserError
from jaxrec.models.method import shown
from jaxrec.models.model import Model
from jaxrec.report.console import Console
from jaxrec.search.auto import ranking
from jaxrec.search.auto.journal import Journal
from jaxrec.search.auto.measured import Measured
from jaxrec.search.auto.parts import Part, Parts
from jaxrec.search.auto.plan import Plan
from jaxrec.search.auto.pool import NotFinite, Pool
from jaxrec.search.auto.searches import Search
from jaxrec.search.auto.trials import Finalist, Trials
from jaxrec.search.auto.weights import (
    choose_weights,
    fixed_weights,
    is_preferred,
    needed_of_a_member,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Recommendation:
    """What was chosen, and how it came about.

    Attributes:
      config: ready to be fitted to all of train.
      finalists: each method's best, the best first; of the network also without walks, if it has
        any.
      weights: of the blend, by the finalists' names; 0 for those left out.
      score: the blend's, the mean over the parts.
      alone: the finalists' own in the very same measurement, by name.
    """

    config: RunConfig
    finalists: tuple[Finalist, ...]
    weights: dict[str, float]
    score: float
    alone: dict[str, float]


def choose(
    config: RunConfig,
    fixed: frozenset[str],
    plan: Plan,
    parts: Parts,
    journal: Journal,
    console: Console,
) -> Recommendation:
    """Chooses by validation alone.

    A method's best settings look better than they are on the parts that they were chosen by, the
    more so the more were tried: so members of a blend are weighed on parts that chose nothing, and
    where test is later than train on all parts, as the latest is most like test.

    Args:
      config: all that isn't searched.
      fixed: fields that are not to be changed.
      plan: what is tried.
      parts: train and validation; no test.
      journal: keeps what is found out.
      console: where it is shown.

    Raises:
      UserError: no method can be fitted to these data.
    """
    trials = functools.partial(Trials, config, fixed, journal=journal, console=console)
    choosers = judges = _side(config, parts.network, "settings", trials)
    if parts.fresh is not parts.network:
        judges = _side(config, parts.fresh, "blend", trials)
    closed_forms = [each for each in plan.searches if not each.trained]
    finalists = _closed_forms(closed_forms, parts, judges.trials, trials)
    for search in (each for each in plan.searches if each.trained):
        found = choosers.trials.search(search)
        if found is not None:
            finalists += _with_ranking(found, choosers, judges, fixed, plan, journal, console)
    if judges is not choosers:
        choosers.trials.forget()  # the blend's parts have models of their own
    if any(each.settings.get(ranking.WEIGHT) for each in finalists):
        # They are in the network's scores, and have one group of settings.
        finalists = [
            each
            for each in finalists
            if ranking.WEIGHT in each.settings or ranking.EXPONENT not in each.settings
        ]
    question = {"blend": {each.name: each.settings for each in finalists}}
    answer = journal.get(question)
    if answer is None:
        answer = _blend(finalists, *judges, fixed, console, needed_of_a_member(parts))
        journal.put(question, answer)
    finalists = [each for each in finalists if each.name in answer["alone"]]
    return Recommendation(
        config=_config(config, fixed, plan, finalists, answer["weights"]),
        finalists=tuple(sorted(finalists, key=lambda each: -answer["alone"][each.name])),
        weights=answer["weights"],
        score=answer["score"],
        alone=answer["alone"],
    )


class _Side(NamedTuple):
    """What fits to some parts, and what measures on them."""

    trials: Trials
    measured: Measured


def _side(
    config: RunConfig, parts: Sequence[Part], purpose: str, trials: Callable[..., Trials]
) -> _Side:
    splits = [part.at_random for part in parts]
    return _Side(trials(parts=splits, purpose=purpose), Measured(config, parts))


def _closed_forms(
    searches: Sequence[Search], parts: Parts, judges: Trials, trials: Callable[..., Trials]
) -> list[Finalist]:
    """Each closed form's best, by parts of their own where there is something to choose."""
    own: list[Split] = []
    if any(search.chooses for search in searches):
        own = [part.at_random for part in parts.cut_closed_forms()]
    finalists = []
    for search in searches:
        chosen_by = judges
        if search.chooses:
            chosen_by = trials(
                parts=own[: search.parts], purpose="closed forms", keep_models=False
            )  # nothing else is done with these, and of EASE each is a large one
        found = chosen_by.search(search)
        if found is not None:
            finalists.append(found)
    return finalists


def _with_ranking(
    finalist: Finalist,
    choosers: _Side,
    judges: _Side,
    fixed: frozenset[str],
    plan: Plan,
    journal: Journal,
    console: Console,
) -> list[Finalist]:
    """The trained network with what counts at ranking, by some parts, if it holds on others.

    Where walks count, a second one without them: beside other methods of a blend they may be too
    much of the same.
    """
    question = {"ranking, with walks and without": finalist.settings, "usual": ranking.USUAL}
    answer = journal.get(question)
    if answer is None:
        best, usual, without = ranking.choose_ranking(
            choosers.trials.models(finalist), choosers.measured, fixed, with_walks=plan.walks
        )
        chosen = best if _holds(best, usual, finalist, choosers, judges) else usual
        answer = [
            {"settings": _ranking_settings(each.values), "score": each.score}
            for each in (chosen, without)
        ]
        journal.put(question, answer)
    if not answer[0]["settings"][ranking.WEIGHT] or answer[1]["settings"][ranking.WEIGHT]:
        answer = answer[:1]  # there are no walks to do without, or they are not to be left out
    found = []
    for each in answer:
        settings = finalist.settings | each["settings"]
        found.append(dataclasses.replace(finalist, settings=settings, score=each["score"]))
        words = " ".join(f"{name}={value}" for name, value in each["settings"].items())
        console.note(f"{finalist.method:9} {each['score']:.4f}  {words}")
    return found


def _ranking_settings(values: ranking.Values) -> dict[str, float]:
    """The fields' values but for those that nothing hangs on, which may be another method's."""
    if values[ranking.WEIGHT]:
        return dict(values)
    return {name: values[name] for name in (ranking.LENGTH, ranking.WEIGHT)}


def _holds(
    best: ranking.Choice,
    usual: ranking.Choice,
    finalist: Finalist,
    choosers: _Side,
    judges: _Side,
) -> bool:
    """Whether what ranks best is as good as the usual on the judges' parts, where there are any."""
    if judges is choosers or best == usual:
        return True
    choosers.trials.forget()  # the other parts have models of their own
    try:
        models = judges.trials.models(finalist)
        return ranking.holds(best.values, usual.values, models, judges.measured)
    except (RunError, UserError):  # the blend leaves the method out, and says why
        return False


def _blend(
    finalists: Sequence[Finalist],
    trials: Trials,
    measured: Measured,
    fixed: frozenset[str],
    console: Console,
    new_member: float,
) -> dict[str, Any]:
    """The members' weights, how good the blend is, and the members alone.

    A method whose best settings can't be fitted to one of these parts is left out.
    """
    models: dict[str, Sequence[Model]] = {}
    refused: set[str] = set()
    for each in reversed(finalists):  # the network, which takes most memory, first
        if each.method in refused:
            continue
        try:
            models[each.name] = _models(each, trials, measured)
        except (RunError, UserError) as error:
            refused.add(each.method)
            console.note(f"{each.method} is left out: {str(error).partition('. ')[0]}")
    pools = _pools(models, measured, console)
    finalists = [each for each in finalists if each.name in models]
    if not finalists:
        raise UserError(
            "config.method is 'auto' and no method can be fitted to these data; expected one named "
            "by config.method, which says what is wrong"
        )
    given = fixed_weights(measured.config, fixed, [each.method for each in finalists])
    names = [each.name for each in finalists]
    choices = []
    for team in _one_of_each(finalists):
        weights = choose_weights(
            [each.name for each in team],
            lambda tried: measured.figures(pools, tried),
            fixed={each.name: given[each.method] for each in team if each.method in given},
            new_member=new_member,
        )
        choices.append((weights, measured.figures(pools, weights)))
    weights, known = choices[0]
    for others, found in choices[1:]:
        if is_preferred(found, known):
            weights, known = others, found
    return {
        "weights": {name: weights.get(name, 0.0) for name in names},
        "score": measured.score(pools, weights),
        "alone": {name: measured.score(pools, {name: 1.0}) for name in names},
    }


def _pools(models: dict[str, Sequence[Model]], measured: Measured, console: Console) -> list[Pool]:
    """A pool for each part and view; models whose scores are no numbers are taken out."""
    while models:
        of_parts = zip(*models.values(), strict=True)
        by_part = [dict(zip(models, own, strict=True)) for own in of_parts]
        track = shown(console.progress, "blend")
        try:
            return measured.pools(by_part, standardise=True, every_view=True, track=track)
        except NotFinite as error:
            del models[error.name]
            console.note(f"{error.name} is left out: {error}")
    return []


def _one_of_each(finalists: Sequence[Finalist]) -> list[list[Finalist]]:
    """No method twice: the first finalist of each, then each other one in the place of its own."""
    methods = [each.method for each in finalists]
    first = [each for n, each in enumerate(finalists) if each.method not in methods[:n]]
    others = [each for each in finalists if each not in first]
    return [
        first,
        *([other if other.method == each.method else each for each in first] for other in others),
    ]


def _models(finalist: Finalist, trials: Trials, measured: Measured) -> Sequence[Model]:
    """A finalist's models as they rank, one for each part."""
    if ranking.WEIGHT not in finalist.settings:
        return trials.models(finalist)
    trained = {n: each for n, each in finalist.settings.items() if n not in ranking.FIELDS}
    models = trials.models(dataclasses.replace(finalist, settings=trained))
    return ranking.ranked(models, measured, finalist.settings)


def _config(
    config: RunConfig,
    fixed: frozenset[str],
    plan: Plan,
    finalists: Sequence[Finalist],
    weights: Mapping[str, float],
) -> RunConfig:
    """The configuration that fits the members, blended where there are several."""
    members = [each for each in finalists if weights[each.name] > 0]
    chosen: dict[str, Any] = {}
    for each in members:
        chosen |= each.settings
    if ranking.EXPONENT in chosen:  # there are walks
        chosen[ranking.ENDS] = plan.ends
    chosen = {name: each for name, each in chosen.items() if name not in fixed}
    chosen |= {"method": members[0].method, "eval.patience": 0}
    if len(members) > 1:
        chosen |= {"method": "blend", "blend.models": tuple(each.method for each in members)}
        chosen |= {f"blend.weights.{each.method}": weights[each.name] for each in members}
    made = with_fields(config, chosen)
    return with_fields(made, {"eval.every_epochs": made.epochs})  # nothing is left to choose by it
