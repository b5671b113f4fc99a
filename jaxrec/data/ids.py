"""The ids that the users' files use, and the indices that they have within."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class IdMap:
    """External ids by internal index: `ids[index]` is the id the user's files use.

    Attributes:
      ids: [size] int64, or object holding str; strictly increasing (numbers by value, text by
        code point), so that an id's index doesn't depend on the order of the files.
      names: [size] object holding str, or None where no names are known; "" where one is missing.
    """

    ids: np.ndarray
    names: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, external: Sequence[object] | np.ndarray) -> np.ndarray:
        """Internal indices of external ids: [k] int32, -1 where the id is unknown.

        Ids may be given as text even where the map holds integers (as on a command line).
        """
        if self.ids.dtype == np.int64:
            wanted = np.array([_as_int(value) for value in external], dtype=object)
            known = np.array([value is not None for value in wanted], dtype=bool)
            numbers = np.array([value if value is not None else 0 for value in wanted], np.int64)
        else:
            numbers = np.array([str(value) for value in external], dtype=object)
            known = np.array([value is not None for value in external], dtype=bool)
        if len(self.ids) == 0 or len(numbers) == 0:
            return np.full(len(numbers), -1, np.int32)
        position = np.minimum(np.searchsorted(self.ids, numbers), len(self.ids) - 1)
        found = known & (self.ids[position] == numbers)
        return np.where(found, position, -1).astype(np.int32)

    def take(self, index: np.ndarray) -> "IdMap":
        """Some of the ids, by a mask or by increasing indices."""
        return IdMap(self.ids[index], None if self.names is None else self.names[index])

    def label(self, index: int) -> str:
        """What to show a person for an index: the name where there is one, else the id."""
        if self.names is not None and self.names[index]:
            return str(self.names[index])
        return str(self.ids[index])


def _as_int(value: object) -> int | None:
    text = str(value)
    # `int` alone would also take "1_000", and refuses very long numbers.
    if len(text) > 20 or re.fullmatch(r"-?[0-9]+", text) is None:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None
