"""Users' vectors from their histories, as `jaxrec.models.fold_in` has them, in NumPy."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jaxrec.serve.history import History
from jaxrec.serve.own_vectors import SoftmaxDirection

if TYPE_CHECKING:
    from jaxrec.serve.models import Factors

CONSTANT = 1e-6  # a deviation, as a share of the greatest score, that is rounding alone


class FoldIn(Protocol):
    """How a history becomes a user's vector."""

    constant: bool  # whether everyone's is the same

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""

    def parts(self, history: History) -> np.ndarray:
        """What each entry brings to it: [n, dim] float32."""


class MessageSum:
    """The sum of the items' messages, d^-a sum_i w_i m_i, and a direction where one is solved for.

    A vector with a direction is as long as the sum and the users' own vectors at right angles.
    """

    constant = False

    def __init__(
        self,
        messages: np.ndarray,
        exponent: float,
        direction: SoftmaxDirection | None,
        own_length: float,
    ) -> None:
        self._messages, self._exponent = messages, exponent
        self._direction, self._own_length = direction, own_length

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""
        total = self._scaled(history.weights) @ self._messages[history.items]
        if self._direction is None:
            return total
        if history.learnt is None:
            return self._length(total) * self._direction.solve(history)[0]
        learnt = self._scaled(history.learnt) @ self._messages[history.items]
        return self._length(learnt) * self._direction.solve(history)[0] + (total - learnt)

    def parts(self, history: History) -> np.ndarray:
        """[n, dim] float32; of a known user the messages, their own vector held fixed."""
        messages = self._scaled(history.weights)[:, None] * self._messages[history.items]
        if self._direction is None or history.user >= 0:
            return messages
        if history.learnt is None:
            return self._length(messages.sum(axis=0)) * self._direction.solve(history)[1]
        learnt = self._scaled(history.learnt)[:, None] * self._messages[history.items]
        solved = self._length(learnt.sum(axis=0)) * self._direction.solve(history)[1]
        return solved + (messages - learnt)

    def _length(self, total: np.ndarray) -> np.float32:
        return np.float32((float(total @ total) + self._own_length**2) ** 0.5)

    def _scaled(self, weights: np.ndarray) -> np.ndarray:
        degree = float(weights.sum())
        return weights * np.float32((degree if degree > 0 else 1.0) ** -self._exponent)


class LeastSquares:
    """iALS's: what minimises the user's part of its loss, the items held fixed."""

    constant = False

    def __init__(
        self, item: np.ndarray, unobserved_weight: float, l2: float, l2_exponent: float
    ) -> None:
        wide = item.astype(np.float64)
        self._item, self._gram = item, unobserved_weight * wide.T @ wide
        self._unobserved = unobserved_weight * len(item)
        self._l2, self._exponent = l2, l2_exponent

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""
        own = self._item[history.items].astype(np.float64)
        return np.linalg.solve(self._system(history, own), history.weights @ own).astype(np.float32)

    def parts(self, history: History) -> np.ndarray:
        """[n, dim] float32."""
        own = self._item[history.items].astype(np.float64)
        weighted = history.weights[:, None] * own
        return np.linalg.solve(self._system(history, own), weighted.T).T.astype(np.float32)

    def _system(self, history: History, own: np.ndarray) -> np.ndarray:
        l2 = self._l2 * (len(own) + self._unobserved) ** self._exponent
        weighted = own * history.weights[:, None]
        return weighted.T @ own + self._gram + l2 * np.eye(own.shape[1])


class Constant:
    """The same vector for everyone."""

    constant = True

    def __init__(self, vector: np.ndarray) -> None:
        self._vector = vector

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""
        del history
        return self._vector

    def parts(self, history: History) -> np.ndarray:
        """[n, dim] float32, all 0."""
        return np.zeros((len(history.items), len(self._vector)), np.float32)


class SideBySide:
    """A blend's: its members' vectors one beside another, each at the member's scale."""

    constant = False

    def __init__(
        self, members: Sequence["Factors"], weights: Sequence[float], known: np.ndarray
    ) -> None:
        self.members, self.weights, self._known = members, weights, known

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""
        vectors = [member.vector(history) for member in self.members]
        scales = self._scales(vectors)
        return np.concatenate(
            [vector * scale for vector, scale in zip(vectors, scales, strict=True)]
        )

    def parts(self, history: History) -> np.ndarray:
        """[n, dim] float32."""
        scales = self._scales([member.vector(history) for member in self.members])
        return np.hstack(
            [
                scale * member.parts(history)
                for scale, member in zip(scales, self.members, strict=True)
            ]
        )

    @functools.cached_property
    def _covariances(self) -> list[np.ndarray]:
        """Each member's, of the known items' vectors: [dim, dim] float64."""
        found = []
        for member in self.members:
            known = member.item[self._known]
            centred = known - known.mean(axis=0)
            found.append((centred.T @ centred / max(len(centred), 1)).astype(np.float64))
        return found

    def _scales(self, vectors: Sequence[np.ndarray]) -> list[np.float32]:
        """What each member's vector is multiplied by."""
        scales = []
        for vector, weight, covariance in zip(
            vectors, self.weights, self._covariances, strict=True
        ):
            spread = float(vector @ covariance @ vector)
            most = float(vector @ vector) * float(np.trace(covariance))
            differ = spread > CONSTANT**2 * most
            scales.append(np.float32(weight / spread**0.5 if differ else 0.0))
        return scales


def fold_in_of(
    kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], item: np.ndarray
) -> FoldIn:
    """The fold-in of this kind; KeyError where there is none."""

    def message_sum() -> MessageSum:
        told, direction = settings["direction"], None
        if told is not None:
            compared, shares = (arrays[f"direction.{name}"] for name in ("compared", "shares"))
            direction = SoftmaxDirection(item, compared, shares, **told)
        exponent, own_length = settings["exponent"], settings["own_length"]
        return MessageSum(arrays["messages"], exponent, direction, own_length)

    made: dict[str, Any] = {
        "message_sum": message_sum,
        "least_squares": lambda: LeastSquares(item, **settings),
        "constant": lambda: Constant(arrays["vector"]),
    }
    found: FoldIn = made[kind]()
    return found
