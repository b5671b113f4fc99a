"""Transitions: what is played next to what within a session, as item weights."""

import numpy as np
from scipy import sparse

from jaxrec.data.events import Events
from jaxrec.data.interactions import Interactions
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track, strongest


def fit(
    train: Interactions,
    *,
    gap_minutes: float,
    window: int,
    fading: float,
    backwards: float,
    alpha: float,
    beta: float,
    shrink: float,
    neighbours: int,
    seed: int,
    track: Track,
) -> ItemWeights:
    """Weights w_ij = n_ij / ((n_i + shrink)^alpha (m_j + shrink)^beta) from i to j.

    n_ij counts how often j was heard 1, 2, ... `window` places after i in one session, a place
    further `fading` times as much, and as many places before it `backwards` times as much; n_i and
    m_j are the sums over j and i. A session ends where nothing was heard for `gap_minutes`. First-
    order transitions within sessions are the Markov chains that Ludewig & Jannach 2018
    (https://doi.org/10.1007/s11257-018-9209-6) find to be hard to beat; their sequential rules
    fade with the distance as here. Only the `neighbours` greatest w_ij of each i count.

    Args:
      train: with the times of its listens.
      gap_minutes: above 0.
      window: at least 1.
      fading: above 0, at most 1.
      backwards: at least 0; with 1 the direction is of no matter.
      alpha: at least 0.
      beta: at least 0; the more, the less popular are the targets.
      shrink: at least 0; the more, the less what was seldom heard counts.
      neighbours: at least 1.
      seed: not used.
      track: shows how far it is.

    Raises:
      UserError: the history has no times.
    """
    del seed
    item, session = sequences(train, train.listens(), 60 * gap_minutes)
    shape = (train.num_items, train.num_items)
    counts = sparse.csr_array(shape, dtype=np.float64)
    for distance in track(range(1, window + 1), "transitions", "distances"):
        source, target = item[:-distance], item[distance:]
        together = (session[:-distance] == session[distance:]) & (source != target)
        ones = np.full(int(together.sum()), fading ** (distance - 1))
        found = sparse.coo_array((ones, (source[together], target[together])), shape=shape)
        counts = counts + found.tocsr()
    entries = (counts + backwards * counts.T).tocoo()
    leaving, arriving = np.asarray(entries.sum(axis=1)), np.asarray(entries.sum(axis=0))
    entries.data /= (leaving[entries.row] + shrink) ** alpha
    entries.data /= (arriving[entries.col] + shrink) ** beta
    weights = entries.tocsr().astype(np.float32)
    weights.eliminate_zeros()
    return ItemWeights(strongest(weights, neighbours))


def sequences(train: Interactions, events: Events, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Every listen's item in the order of users and times, and the session it is in.

    Args:
      train: the pairs.
      events: their listens.
      gap: seconds without a listen after which another session begins.

    Returns:
      items [listens] int32 and sessions [listens] int64, increasing.
    """
    pair = events.pairs()
    order = np.lexsort((pair, events.timestamp, train.user[pair]))
    user, time = train.user[pair][order], events.timestamp[order]
    begins = np.r_[True, (user[1:] != user[:-1]) | (np.diff(time) > gap)][: len(user)]
    return train.item[pair][order], np.cumsum(begins)
