"""How much an interaction counts: how often, and how long ago."""

import dataclasses
from collections.abc import Callable
from typing import get_args

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight

WEIGHTS = get_args(Weight)
DAY = 86_400  # seconds
MOST_HALVINGS = 40  # of a whole history: a user who has been away so long is still somebody
_PAIRS_AT_ONCE = 1 << 20
LEAST = 1e-30  # of a weight, which must stay above 0 in float32


@dataclasses.dataclass(frozen=True)
class Weighting:
    """How an interaction is weighed.

    Attributes:
      plays: what counts of how often: `binary`, `log` or `raw`, as of `edge_weight`.
      half_life_days: after so many days a listen counts half; None: however old, it counts whole.
    """

    plays: Weight = "binary"
    half_life_days: float | None = None


def weigh(
    interactions: Interactions, weighting: Weighting, *, from_last: bool = False
) -> np.ndarray:
    """The weight of each interaction: [n] float32, above 0.

    A listen of age a counts 2^-(a / half-life), where ages count from `Events.moment`: `raw` is the
    sum over the pair's listens, `log` its log(1 + sum), `binary` the latest listen alone.

    Args:
      interactions: of any users.
      weighting: what counts.
      from_last: whether ages count from the user's own last listen instead, so that nobody's
        weights depend on who else is there.

    Raises:
      UserError: there is a half-life and the history has no times.
    """
    return weigher(interactions, weighting, from_last=from_last)(0, len(interactions))


def weigher(
    interactions: Interactions, weighting: Weighting, *, from_last: bool = False
) -> Callable[[int, int], np.ndarray]:
    """What weighs some interactions at a time, where all at once are too many.

    Args:
      interactions: as of `weigh`.
      weighting: likewise.
      from_last: likewise.

    Returns:
      Takes the numbers of the first and of the one after the last; gives their weights, those that
      `weigh` gives.

    Raises:
      UserError: as of `weigh`.
    """
    if weighting.half_life_days is None:
        return lambda start, stop: edge_weight(interactions.plays[start:stop], weighting.plays)
    events = interactions.listens()
    half_life, moment = weighting.half_life_days * DAY, events.moment
    # Relative to each user's own last listen, so that nobody's weights vanish altogether.
    last = np.full(interactions.num_users, np.iinfo(np.int64).min)
    for start in range(0, len(interactions), _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        np.maximum.at(last, interactions.user[rows], events.between(rows.start, rows.stop).last())

    def weights_of(start: int, stop: int) -> np.ndarray:
        listens, last_of = events.between(start, stop), last[interactions.user[start:stop]]
        decay = np.exp2(-((last_of[listens.pairs()] - listens.timestamp) / half_life))
        since = (moment - last_of) / half_life
        since = np.ones(len(since)) if from_last else np.exp2(-np.minimum(since, MOST_HALVINGS))
        if weighting.plays == "binary":
            weights = decay[listens.offsets[1:] - 1] * since
        else:
            weights = edge_weight(listens.total(listens.plays * decay) * since, weighting.plays)
        return np.maximum(weights, LEAST).astype(np.float32)

    return weights_of


def edge_weight(plays: np.ndarray, weight: Weight) -> np.ndarray:
    """The weight of each edge from its play count: [n] float32.

    Args:
      plays: [n], > 0.
      weight: `binary` (1 whatever the count), `log` (log(1 + plays)) or `raw` (the count).

    Raises:
      ValueError: unknown `weight`.
    """
    if weight == "binary":
        return np.ones(len(plays), np.float32)
    if weight == "log":
        return np.asarray(np.log1p(plays), np.float32)
    if weight == "raw":
        return np.asarray(plays, np.float32)
    raise ValueError(f"weight is {weight!r}; expected one of {', '.join(WEIGHTS)}")
