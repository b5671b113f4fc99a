"""Which rows of a history go to the held-out part: at random, or the last ones by time."""

import hashlib

import numpy as np

from jaxrec.data.interactions import IdMap, Interactions


def random_rows(interactions: Interactions, fraction: float, seed: int) -> np.ndarray:
    """Marks a random `fraction` of each user's rows, rounded half up, never all: [n] bool.

    Which ones depends on the seed, the user's id and the ids of its items alone, so other users
    coming or going change nothing.
    """
    size = np.diff(interactions.user_offsets())
    count = np.minimum(np.floor(fraction * size + 0.5).astype(np.int64), np.maximum(size - 1, 0))
    order = np.lexsort((_random_keys(interactions, seed), interactions.user))
    return _first_rows(interactions, order, count)


def last_rows(interactions: Interactions, n: int) -> np.ndarray:
    """Marks the n rows of each user that are last by time: [n] bool.

    Of equal times the higher item index counts as later. None of a user with no more than n.

    Raises:
      ValueError: the interactions have no times.
    """
    if interactions.timestamp is None:
        raise ValueError("last_rows needs interactions with timestamps")
    size = np.diff(interactions.user_offsets())
    # `~x` is `-x - 1`: it reverses the order and can't overflow.
    order = np.lexsort((~interactions.item, ~interactions.timestamp, interactions.user))
    return _first_rows(interactions, order, np.where(size > n, n, 0))


def moment_leaving(times: np.ndarray, fraction: float) -> int:
    """The time at or after which `fraction` of the times lie, as nearly as ties allow.

    Args:
      times: [n] int64, n >= 1.
      fraction: between 0 and 1.
    """
    before = min(int(np.floor((1 - fraction) * len(times) + 0.5)), len(times) - 1)
    return int(np.partition(times, before)[before])


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
