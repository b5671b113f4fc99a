"""Sessions: what is heard in one sitting, by walks from item to session to item."""

import numpy as np
from scipy import sparse

from jaxrec.data.interactions import Interactions
from jaxrec.models import rp3beta
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track
from jaxrec.models.transitions import sequences


def fit(
    train: Interactions,
    *,
    gap_minutes: float,
    neighbours: int,
    alpha: float,
    beta: float,
    seed: int,
    track: Track,
) -> ItemWeights:
    """RP3beta where the step to other users is one to sessions.

    Users gather many tastes; a session is of one. An item counts in a session as often as it was
    heard in it. Ludewig & Jannach 2018 (https://doi.org/10.1007/s11257-018-9209-6) find neighbours
    by the sessions that items share to be hard to beat.

    Args:
      train: with the times of its listens.
      gap_minutes: minutes without a listen after which another session begins, above 0.
      neighbours: targets kept for each item, at least 1.
      alpha: exponent of a step's probability, at least 0.
      beta: exponent of a target's listens, by which its weights are divided, at least 0.
      seed: not used.
      track: shows how far it is.

    Raises:
      UserError: the history has no times.
    """
    del seed
    item, session = sequences(train, train.listens(), 60 * gap_minutes)
    shape = (int(session.max(initial=0)) + 1, train.num_items)
    heard = sparse.coo_array((np.ones(len(item), np.float32), (session, item)), shape=shape)
    weights = rp3beta.steps(
        heard.tocsr(), neighbours=neighbours, alpha=alpha, beta=beta, track=track
    )
    return ItemWeights(weights, step_exponent=alpha)
