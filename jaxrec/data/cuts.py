"""Which rows of a history are held out: at random, those that go together, or the last by time."""

import functools
import hashlib

import numpy as np
from scipy import sparse

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions

_USERS_AT_ONCE = 1024  # whose items' cosines are worked out together; bounds the memory


def random_rows(interactions: Interactions, fraction: float, seed: int) -> np.ndarray:
    """Marks a random `fraction` of each user's rows, rounded half up, never all: [n] bool.

    Which ones depends on the seed, the user's id and the ids of its items alone, so other users
    coming or going change nothing.
    """
    order = np.lexsort((_random_keys(interactions, seed), interactions.user))
    return _first_rows(interactions, order, _share_of_each(interactions, fraction))


def alike_rows(
    interactions: Interactions, fraction: float, seed: int, users: np.ndarray | None = None
) -> np.ndarray:
    """Marks as many rows of each user as `random_rows` does, but rows that go together: [n] bool.

    One of the user's items is drawn at random; it is marked, and of the others those most alike it,
    by the cosine of the two items' listeners without this one (of equals the lower item index).
    What a listener came to within a short time is alike, so this does without times what a cut by
    time does: the nearest neighbours of what is held out are held out with it.

    Args:
      interactions: all of them.
      fraction: of each user's rows.
      seed: of what is drawn.
      users: [num_users] bool, whose rows are wanted; None for everybody's. What is marked of the
        others means nothing: to find what goes together takes its time.
    """
    num_rows, offsets = len(interactions), interactions.user_offsets()
    user, item, length = interactions.user, interactions.item, np.diff(offsets)
    wanted = np.flatnonzero(length if users is None else users & (length > 0))
    listened = sparse.csr_array(
        (np.ones(num_rows, np.int32), item, offsets),
        shape=(interactions.num_users, interactions.num_items),
    )
    listeners = listened.T.tocsr()
    first = np.lexsort((_random_keys(interactions, seed), user))[offsets[:-1][np.diff(offsets) > 0]]
    drawn = np.zeros(interactions.num_users, np.int64)
    drawn[user[first]] = item[first]
    together = np.ones(num_rows, np.int64)
    for start in range(0, len(wanted), _USERS_AT_ONCE):
        block = wanted[start : start + _USERS_AT_ONCE]
        number = np.repeat(np.arange(len(block)), length[block])
        ends = np.cumsum(length[block])
        rows = np.arange(len(number)) + np.repeat(
            offsets[block] - ends + length[block], length[block]
        )
        shared = listeners[drawn[block]] @ listened
        together[rows] = shared[number, item[rows]]
    count = np.diff(listeners.indptr)
    alike = (together - 1) / np.sqrt(count[item] * count[drawn[user]].astype(np.float64))
    alike[first] = np.inf
    order = np.lexsort((item, -alike, user))
    return _first_rows(interactions, order, _share_of_each(interactions, fraction))


def last_rows(interactions: Interactions, n: int, seed: int) -> np.ndarray:
    """Marks the n rows of each user that are last by time: [n] bool.

    Equal times are no order: which of them counts as later is drawn, by the seed, the user's id and
    the items' ids alone. None of a user with no more than n.

    Raises:
      ValueError: the interactions have no times.
    """
    if interactions.timestamp is None:
        raise ValueError("last_rows needs interactions with timestamps")
    size = np.diff(interactions.user_offsets())
    # `~x` is `-x - 1`: it reverses the order and can't overflow.
    order = np.lexsort(
        (_random_keys(interactions, seed), ~interactions.timestamp, interactions.user)
    )
    return _first_rows(interactions, order, np.where(size > n, n, 0))


def tied_users(interactions: Interactions, n: int) -> int:
    """How many users' last n rows are drawn by chance, as more rows have the time of the n-th last.

    Raises:
      ValueError: the interactions have no times.
    """
    if interactions.timestamp is None:
        raise ValueError("tied_users needs interactions with timestamps")
    offsets = interactions.user_offsets()
    size = np.diff(offsets)
    order = np.lexsort((interactions.timestamp, interactions.user))
    time = interactions.timestamp[order]
    ends = offsets[1:][size > n]
    return int((time[ends - n] == time[ends - n - 1]).sum())


def cut_by_time(
    whole: Interactions,
    train: Interactions,
    *,
    moment: int,
    validation_moment: int,
    min_plays: float,
) -> tuple[Interactions, Interactions, Interactions]:
    """Validation and test by when the listens were, and the pairs that no part has.

    A pair that is heard again is in several parts. One that was heard before a part began, too
    seldom to be learnt from, counts as left out although it is in that part.

    Args:
      whole: all pairs, with their listens.
      train: those of before validation that are learnt from.
      moment: where test begins.
      validation_moment: where validation begins; `moment` for none, which is then empty.
      min_plays: the fewest plays of a pair within a part.
    """
    past, test = whole.before(moment), whole.since(moment)
    validation = past.since(validation_moment)
    validation, test = (part.select(part.plays >= min_plays) for part in (validation, test))
    first_heard = whole.timestamp
    assert first_heard is not None  # `before` has seen to it
    kept = whole.among(train)
    kept |= (first_heard >= validation_moment) & whole.among(validation)
    kept |= (first_heard >= moment) & whole.among(test)
    return validation, test, whole.select(~kept)


def moment_leaving(times: np.ndarray, fraction: float) -> int:
    """The time at or after which `fraction` of the times lie, as nearly as ties allow.

    Args:
      times: [n] int64, n >= 1.
      fraction: between 0 and 1.
    """
    before = min(int(np.floor((1 - fraction) * len(times) + 0.5)), len(times) - 1)
    return int(np.partition(times, before)[before])


def _share_of_each(interactions: Interactions, fraction: float) -> np.ndarray:
    """How many rows of each user are its `fraction`, rounded half up, never all: [users] int64."""
    size = np.diff(interactions.user_offsets())
    return np.minimum(np.floor(fraction * size + 0.5).astype(np.int64), np.maximum(size - 1, 0))


def _first_rows(interactions: Interactions, order: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Marks the first `count[user]` rows of each user in `order`, sorted by user: [n] bool."""
    user = interactions.user[order]
    position = np.arange(len(order)) - interactions.user_offsets()[user]
    marked = np.zeros(len(order), dtype=bool)
    marked[order[position < count[user]]] = True
    return marked


def _random_keys(interactions: Interactions, seed: int) -> np.ndarray:
    """A pseudo-random number per row, from the seed and the two external ids alone: [n] uint64."""
    salt = np.array([seed % 2**64], np.uint64)
    user = _scramble(_id_numbers(interactions.users) + _scramble(salt))
    item = _scramble(_id_numbers(interactions.items))
    return _scramble(user[interactions.user] + item[interactions.item])


@functools.lru_cache(maxsize=2)  # of one history's users and items: it is cut more than once
def _id_numbers(id_map: IdMap) -> np.ndarray:
    if id_map.ids.dtype == np.int64:
        return id_map.ids.view(np.uint64)
    digests = (hashlib.blake2b(str(value).encode(), digest_size=8) for value in id_map.ids)
    return np.frombuffer(b"".join(digest.digest() for digest in digests), "<u8").astype(np.uint64)


def _scramble(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al. 2014, https://doi.org/10.1145/2660193.2660195), on uint64."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
