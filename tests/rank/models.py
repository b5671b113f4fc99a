"""Models whose scores are known, and users to rank for."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.histories import Histories


def factors(user: Any, item: Any) -> Factors:
    """A model of these tables, [num_users, dim] and [num_items, dim]."""
    user, item = np.asarray(user), np.asarray(item)
    return Factors(user, item, Constant(np.zeros(item.shape[1], np.float32)))


def users_of(users: Any, num_items: int) -> Histories:
    """Users whom a model knows by their number; their histories are empty."""
    numbers = np.asarray(users, np.int32)
    none = Histories.of_items([np.zeros(0, np.int32)] * len(numbers), num_items)
    return dataclasses.replace(none, users=numbers)


@dataclasses.dataclass(frozen=True, eq=False)
class LookedUp:
    """A model other than factors, whose users' scores are rows of a matrix.

    Attributes:
      table: [num_users, num_items].
      array: makes them NumPy's or JAX's.
      asked: fills up with the numbers of users that it is asked for at once.
    """

    table: np.ndarray
    array: Callable[[np.ndarray], Any] = np.asarray
    asked: list[int] = dataclasses.field(default_factory=list)

    kind: ClassVar[str] = "looked up"

    @property
    def num_items(self) -> int:
        return int(self.table.shape[1])

    def scores(self, histories: Histories) -> Any:
        assert histories.users.dtype == np.int32
        self.asked.append(len(histories))
        return self.array(np.asarray(self.table, np.float32)[histories.users])
