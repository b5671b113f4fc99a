"""Vectors for users whom a model was not fitted to, from their histories alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from jaxrec.models.bpr_vectors import BprVector
from jaxrec.models.histories import Histories
from jaxrec.models.least_squares import Ridge
from jaxrec.models.model import Array, part_of, with_prefix
from jaxrec.models.own_vectors import OwnVector, SoftmaxDirection


class FoldIn(Protocol):
    """How a history becomes a user's vector."""

    kind: ClassVar[str]

    def vectors(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """A vector for each history: [n, dim] float32.

        Args:
          histories: whose users don't matter.
          item: [num_items, dim] float32, the items' vectors.
        """

    def of_known(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """What of a user's vector comes of the history where the user was there: [n, dim]."""

    def parts(self, history: Histories, item: np.ndarray) -> np.ndarray:
        """What each entry of one history brings to its vector: [num_entries, dim] float32."""

    def arrays(self) -> dict[str, Array]:
        """What it is made of, by name."""

    def settings(self) -> dict[str, Any]:
        """What it is made of beside the arrays, ready for JSON."""

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """What `arrays` and `settings` tell of."""


@dataclasses.dataclass(frozen=True, eq=False)
class MessageSum:
    """A graph convolution's: the sum of the items' messages, as a user of the graph receives it.

    A user's vector is g e_u^0 + d_u^-a sum_i w_ui m_i with a vector e_u^0 of their own, the sum
    d_u of their weights and messages m_i (`LightGCN.item_messages`). Of somebody new g e_u^0 is
    not known, but solved for by the loss that the network was trained by.

    Attributes:
      messages: m, [num_items, dim] float32.
      exponent: a.
      own: how the own vector is solved for; None: it is left out.
    """

    messages: np.ndarray
    exponent: float
    own: OwnVector | None = None

    kind: ClassVar[str] = "message_sum"

    def vectors(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """The vector that a user with each history has: [n, dim] float32.

        The own vector is that of the loss, which knows the weights that were learnt by; what others
        change of the sum is added, as for a user who was there.
        """
        sums = self.sums(histories)
        if self.own is None:
            return sums
        learnt = self.sums(histories.as_learnt())
        found = self.own.whole(histories, learnt, item)
        return found if histories.learnt is None else found + (sums - learnt)

    def of_known(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """`sums`: [n, dim] float32."""
        del item
        return self.sums(histories)

    def sums(self, histories: Histories) -> np.ndarray:
        """d^-a sum_i w_i m_i for each history, all but the users' own vectors: [n, dim] float32."""
        matrix = histories.matrix()
        degree = np.asarray(matrix.sum(axis=1), np.float32)
        sums = np.asarray(matrix @ self.messages, np.float32)
        return sums * _power(degree, -self.exponent)[:, None]

    def parts(self, history: Histories, item: np.ndarray) -> np.ndarray:
        """What each entry brings: [num_entries, dim] float32.

        To a user who was there d^-a w_i m_i, their own vector held fixed. To somebody new what it
        brings to the whole that was solved for.
        """
        messages = self._messages(history)
        if self.own is None or history.users[0] >= 0:
            return messages
        learnt = self._messages(history.as_learnt())
        found = self.own.parts(history, learnt, item)
        return found if history.learnt is None else found + (messages - learnt)

    def _messages(self, history: Histories) -> np.ndarray:
        """d^-a w_i m_i of each entry: [num_entries, dim] float32."""
        degree = history.weights.sum(keepdims=True)
        weights = history.weights * _power(degree, -self.exponent)
        return np.asarray(weights[:, None] * self.messages[history.items], np.float32)

    def arrays(self) -> dict[str, Array]:
        """The messages, and what the own vector is found with."""
        found: dict[str, Array] = {"messages": self.messages}
        return found if self.own is None else found | with_prefix(self.own.arrays(), "own")

    def settings(self) -> dict[str, Any]:
        """The exponent, and the kind and settings of the own vector or None."""
        own = None if self.own is None else {"kind": self.own.kind} | self.own.settings()
        return {"exponent": self.exponent, "own": own}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The sum of these messages."""
        own = settings["own"]
        if own is not None:
            told = {name: each for name, each in own.items() if name != "kind"}
            own = _OWN[own["kind"]].of_arrays(part_of(arrays, "own"), told)
        return cls(np.asarray(arrays["messages"]), settings["exponent"], own)


def _power(degree: np.ndarray, exponent: float) -> np.ndarray:
    """degree^exponent, 1 for an empty history: [n] float32."""
    return np.asarray(np.where(degree > 0, degree, 1.0) ** exponent, np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class LeastSquares:
    """iALS's: the vector that minimises the user's part of its loss, the items held fixed.

    Attributes:
      ridge: the loss's weights.
    """

    ridge: Ridge

    kind: ClassVar[str] = "least_squares"

    def vectors(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """The solutions: [n, dim] float32."""
        return self.ridge.solve(histories.matrix(), item)

    def of_known(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """All of it: [n, dim] float32."""
        return self.vectors(histories, item)

    def parts(self, history: Histories, item: np.ndarray) -> np.ndarray:
        """A^-1 x_i h_i for each entry, where A is the user's system: [num_entries, dim] float32."""
        own = item[history.items].astype(np.float64)
        system = self.ridge.system(history.weights, own, item)
        return np.asarray(np.linalg.solve(system, (history.weights[:, None] * own).T).T, np.float32)

    def arrays(self) -> dict[str, Array]:
        """None: the items' vectors are the model's."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The loss's weights."""
        return dataclasses.asdict(self.ridge)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """Least squares of a loss with these weights."""
        del arrays
        return cls(Ridge(**settings))


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """The same vector for everyone, whatever the history."""

    vector: np.ndarray

    kind: ClassVar[str] = "constant"

    def vectors(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """The vector, n times: [n, dim] float32."""
        del item
        return np.tile(self.vector, (len(histories), 1))

    def of_known(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """The vector, n times: [n, dim] float32."""
        return self.vectors(histories, item)

    def parts(self, history: Histories, item: np.ndarray) -> np.ndarray:
        """Nothing comes of any entry: [num_entries, dim] float32."""
        del item
        return np.zeros((len(history.items), len(self.vector)), np.float32)

    def arrays(self) -> dict[str, Array]:
        """The vector."""
        return {"vector": self.vector}

    def settings(self) -> dict[str, Any]:
        """None."""
        return {}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """This vector for everyone."""
        del settings
        return cls(np.asarray(arrays["vector"]))


_OWN: dict[str, type[OwnVector]] = {each.kind: each for each in (SoftmaxDirection, BprVector)}
