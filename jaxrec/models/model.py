"""What every model can do, whatever it is made of."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import jax
import numpy as np

from jaxrec.models.histories import Histories

Array: TypeAlias = np.ndarray | jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Contributions:
    """Why some items have the scores they have, for one history. All of it adds up to the scores.

    Attributes:
      entries: [entries of the history, items] float32, what each listened item brings.
      rest: by name, [items] float32, what comes of something else: `own` of the user's own
        parameters, `popularity` of the item alone, `scale` of bringing scores to one scale.
    """

    entries: np.ndarray
    rest: Mapping[str, np.ndarray]

    def total(self) -> np.ndarray:
        """The scores: [items] float32."""
        parts = [self.entries.sum(axis=0), *self.rest.values()]
        return np.asarray(np.sum(parts, axis=0), np.float32)


@runtime_checkable
class Model(Protocol):
    """Anything that ranks: a frozen record of arrays that scores histories.

    A history's scores depend on the history and its user alone, not on those beside it.
    """

    kind: ClassVar[str]

    @property
    def num_items(self) -> int:
        """How many items are scored."""

    def scores(self, histories: Histories) -> Array:
        """Every item's score for each history: [n, num_items] float32, more is better."""

    def contributions(self, history: Histories, items: np.ndarray) -> Contributions:
        """What each entry of a history contributes to some items' scores.

        Args:
          history: one history.
          items: [k] int32.
        """

    def similarities(self, item: int) -> np.ndarray:
        """How near every item is to one: [num_items] float32.

        The cosine where items have vectors; else how much the item alone speaks for each other.
        """

    def arrays(self) -> dict[str, Array]:
        """All that the model is made of, by name, to be saved."""

    def settings(self) -> dict[str, Any]:
        """What it is made of beside the arrays, ready for JSON."""

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The model that `arrays` and `settings` tell of."""


def one_history(history: Histories) -> None:
    """Raises ValueError unless there is exactly one history."""
    if len(history) != 1:
        raise ValueError(f"{len(history)} histories; expected one")


def part_of(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin with `prefix.`, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: each for name, each in arrays.items() if name.startswith(start)}


def numbered_arrays(members: Iterable[Model]) -> dict[str, Array]:
    """The members' arrays by their numbers from 0, such as `1.weights`."""
    arrays: dict[str, Array] = {}
    for number, member in enumerate(members):
        arrays |= with_prefix(member.arrays(), str(number))
    return arrays


def with_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays with `prefix.` before their names."""
    return {f"{prefix}.{name}": each for name, each in arrays.items()}
