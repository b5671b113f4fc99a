"""How much each member of a blend counts: found by changing one weight at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from jaxrec.config import RunConfig, field_value
from jaxrec.runs.methods import check_weights
from jaxrec.search.auto.parts import Parts

WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 1.6, 2.5)
ROUNDS = 12
# Standard errors that a change must gain; a new member fewer where it is weighed on so many parts
# that have chosen nothing: members chosen so were as good or better on other parts, in ten cases of
# ten (docs/lab/auto-blends.md).
NEW_MEMBER, ON_FRESH_PARTS, SAME_MEMBERS = 2.0, 1.0, 0.5
ENOUGH_PARTS = 4

Weights = dict[str, float]
Figures = Sequence[np.ndarray]  # by rule: [users, metrics]


def choose_weights(
    names: Sequence[str],
    figures: Callable[[Mapping[str, float]], Figures],
    *,
    fixed: Mapping[str, float],
    new_member: float = NEW_MEMBER,
) -> Weights:
    """The members that help and their weights, from the best one alone.

    Of all changes of one weight the one that gains most by the first rule is made, if it gains in
    every metric by either rule, and by the first by more than chance would: a new member must gain
    `new_member` standard errors of the mean difference between users, since each makes the model
    larger and slower, and a part of train is not test. A member whose removal costs less than half
    of one goes.

    Args:
      names: of the members.
      figures: of weights, at least one of them above 0: each user's metrics, an array for each
        rule by which validation was cut, the one that counts most first.
      fixed: weights that are not to be changed; not 0 for all (`fixed_weights`).
      new_member: standard errors that one must gain.

    Returns:
      Every member's weight, 0 for those left out.
    """
    best = {name: 0.0 for name in names} | dict(fixed)
    if not any(best.values()):
        alone = {name: _mean(figures(best | {name: 1.0})) for name in names if name not in fixed}
        best[max(alone, key=lambda name: alone[name])] = 1.0
    known = figures(best)
    for _ in range(ROUNDS):
        changes = []
        for name in names:
            if name in fixed:
                continue
            for weight in WEIGHTS:
                tried = best | {name: weight}
                if weight == best[name] or not any(tried.values()):
                    continue
                found = figures(tried)
                gains = [new - old for new, old in zip(found, known, strict=True)]
                if _is_better(gains, _needed(best[name], weight, new_member)):
                    changes.append((_mean(gains), tried, found))
        if not changes:
            break
        _, best, known = max(changes, key=lambda change: change[0])
    return best


def needed_of_a_member(parts: Parts) -> float:
    """The standard errors that a new one must gain: fewer on four parts that chose nothing."""
    chose_nothing = not any(each in parts.network for each in parts.fresh)
    return ON_FRESH_PARTS if chose_nothing and len(parts.fresh) >= ENOUGH_PARTS else NEW_MEMBER


def fixed_weights(
    config: RunConfig, fixed: frozenset[str], methods: Iterable[str]
) -> dict[str, float]:
    """The weights of some methods that are not to be changed, by method.

    Raises:
      UserError: all of them have one, and it is 0.
    """
    fields = {method: f"blend.weights.{method}" for method in methods}
    found = {m: float(field_value(config, f)) for m, f in fields.items() if f in fixed}
    if found and len(found) == len(fields):
        check_weights(found)
    return found


def is_preferred(new: Figures, old: Figures) -> bool:
    """Whether a blend is better by the first rule, and by no other surely worse.

    Surely: by more than the standard error of the mean difference between users.

    Args:
      new: its figures, as of `choose_weights`.
      old: those of the blend that it is compared with.
    """
    first, *others = [(n - o).mean(axis=1) for n, o in zip(new, old, strict=True)]
    return bool(first.mean() > 0 and all(each.mean() > -_error(each) for each in others))


def _needed(before: float, after: float, new_member: float) -> float:
    """Standard errors that a change of a weight must gain; a member may go for less than 0."""
    if before == 0:
        return new_member
    return -SAME_MEMBERS if after == 0 else SAME_MEMBERS


def _is_better(gains: Figures, needed: float) -> bool:
    first = gains[0].mean(axis=1)
    if needed > 0 and min(float(each.mean(axis=0).min()) for each in gains) <= 0:
        return False
    return bool(first.mean() > needed * _error(first))


def _error(gains: np.ndarray) -> float:
    """The standard error of the mean."""
    return float(gains.std() / np.sqrt(max(len(gains), 1)))


def _mean(figures: Figures) -> float:
    """Over users and metrics, by the first rule."""
    return float(figures[0].mean())
