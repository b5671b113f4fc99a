"""From settings to better ones: one field after another, a step up or down while it gains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Settings = dict[str, Any]
Axis = tuple[str, Sequence[Any]]  # a field, and its values in an order in which they are alike


def climb(
    start: Mapping[str, Any],
    axes: Sequence[Axis],
    score: Callable[[Settings], float],
    *,
    most: int,
) -> Settings:
    """The best settings found.

    On each axis the values next to the best so far are tried, above first, and beyond one that
    gained the next, until none gains.

    Args:
      start: where to begin; each axis's field is in it, with one of the axis's values.
      axes: the fields to change, the most important first.
      score: how good settings are, more is better.
      most: how many settings are scored.
    """
    best, best_score, scored = dict(start), score(dict(start)), 1
    for field, values in axes:
        place = list(values).index(best[field])
        for direction in (1, -1):
            moved = False
            while 0 <= place + direction < len(values) and scored < most:
                tried = best | {field: values[place + direction]}
                found, scored = score(tried), scored + 1
                if not found > best_score:
                    break
                best, best_score, place, moved = tried, found, place + direction, True
            if moved:
                break
    return best
