"""Items' names such as "title — artist", whose each item is by them, and limits by artist."""

import functools

import numpy as np

from jaxrec.data.ids import IdMap

PARTED_BY = " — "


def part_name(name: str) -> tuple[str, str]:
    """Title and artist of a name; of one that isn't parted the whole, and ""."""
    title, parted, artist = name.rpartition(PARTED_BY)
    return (title, artist) if parted else (name, "")


@functools.lru_cache(maxsize=2)  # of one run's items: lists are limited more than once
def artist_numbers(ids: IdMap) -> np.ndarray:
    """A number for each item's artist, -1 where none is known: [num_items] int32."""
    names = [] if ids.names is None else ids.names.tolist()
    return numbered([part_name(name)[1] for name in names] or [""] * len(ids))


def numbered(artists: list[str]) -> np.ndarray:
    """Equal texts by equal numbers from 0 on, -1 for an empty one: [n] int32."""
    of_text: dict[str, int] = {"": -1}
    return np.array([of_text.setdefault(each, len(of_text) - 1) for each in artists], np.int32)


def first_of_each(numbers: np.ndarray, most: int) -> np.ndarray:
    """Which entries of each row are among the first so many of their number: [n, k] bool.

    Args:
      numbers: [n, k] int; one below 0 is nobody's and always among them.
      most: how many, at least 1.
    """
    row, column = np.nonzero(numbers >= 0)
    keys = row * (int(numbers.max(initial=0)) + 1) + numbers[row, column]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    before = np.arange(len(keys)) - np.searchsorted(ordered, ordered)
    found = np.ones(numbers.shape, bool)
    found[row[order], column[order]] = before < most
    return found
