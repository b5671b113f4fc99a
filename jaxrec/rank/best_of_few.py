"""The best of some items that each history has of its own, as what is heard again is found."""

from collections.abc import Callable

import numpy as np

from jaxrec.errors import RunError
from jaxrec.models.histories import Histories
from jaxrec.models.model import Array

ADVICE = "expected finite numbers; less extreme settings may help"


def best_of_few(
    scores_of: Callable[[Histories], Array],
    histories: Histories,
    k: int,
    *,
    own: tuple[np.ndarray, np.ndarray],
    candidates: np.ndarray,
    rows_at_once: int,
    on_histories: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """As `top_k`, among each history's own items.

    Args:
      scores_of: the model's scores [n, num_items] of some histories.
      histories: [n], whose lists are wanted.
      k: length of a list.
      own: offsets [n + 1] and items of the lists' own, increasing within each.
      candidates: [num_items] bool, the items that may be listed.
      rows_at_once: how many histories are scored together, always as many.
      on_histories: called with the number of lists found since the last call.

    Raises:
      RunError: a score isn't finite.
    """
    count, (offsets, few) = len(histories), own
    items = np.full((count, k), -1, np.int32)
    scores = np.full((count, k), -np.inf, np.float32)
    for start in range(0, count, rows_at_once):
        rows = np.arange(start, min(start + rows_at_once, count))
        found = np.asarray(scores_of(histories.take(np.resize(rows, rows_at_once))), np.float32)
        if not np.isfinite(found).all():
            raise RunError(f"the scores hold a NaN or an infinity; {ADVICE}")
        for place, row in enumerate(rows):
            listed = few[offsets[row] : offsets[row + 1]]
            listed = listed[candidates[listed]]
            best = np.argsort(-found[place, listed], kind="stable")[:k]
            items[row, : len(best)] = listed[best]
            scores[row, : len(best)] = found[place, listed[best]]
        on_histories(len(rows))
    return items, scores
