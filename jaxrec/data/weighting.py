"""How much an interaction counts: how often, and how long ago."""

import dataclasses

import numpy as np

from jaxrec.data.interactions import Interactions, edge_weight
from jaxrec.data.options import Weight

DAY = 86_400  # seconds
MOST_HALVINGS = 40  # of a whole history: a user who has been away so long is still somebody
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
    if weighting.half_life_days is None:
        return edge_weight(interactions.plays, weighting.plays)
    events = interactions.listens()
    half_life = weighting.half_life_days * DAY
    # Relative to each user's own last listen, so that nobody's weights vanish altogether.
    last = np.full(interactions.num_users, np.iinfo(np.int64).min)
    np.maximum.at(last, interactions.user, events.last())
    of_listen = last[interactions.user[events.pairs()]]
    decay = np.exp2(-((of_listen - events.timestamp) / half_life))
    since = (events.moment - last[interactions.user]) / half_life
    since = np.ones(len(since)) if from_last else np.exp2(-np.minimum(since, MOST_HALVINGS))
    if weighting.plays == "binary":
        weights = decay[events.offsets[1:] - 1] * since
    else:
        weights = edge_weight(events.total(events.plays * decay) * since, weighting.plays)
    return np.maximum(weights, LEAST).astype(np.float32)
