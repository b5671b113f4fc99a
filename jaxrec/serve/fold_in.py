"""Users' vectors from their histories, as `jaxrec.models.fold_in` has them, in NumPy."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jaxrec.serve.history import History
from jaxrec.serve.own_vectors import OwnVector, own_vector_of

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
    """The sum of the items' messages, d^-a sum_i w_i m_i, and an own vector that is solved for."""

    constant = False

    def __init__(self, messages: np.ndarray, exponent: float, own: OwnVector | None) -> None:
        self._messages, self._exponent, self._own = messages, exponent, own

    def vector(self, history: History) -> np.ndarray:
        """[dim] float32."""
        messages = self._of(history, history.weights)
        if self._own is None:
            return np.asarray(messages.sum(axis=0))
        if history.learnt is None:
            return self._own.whole(history, messages)
        learnt = self._of(history, history.learnt)
        return self._own.whole(history, learnt) + (messages.sum(axis=0) - learnt.sum(axis=0))

    def parts(self, history: History) -> np.ndarray:
        """[n, dim] float32; of a known user the messages, their own vector held fixed."""
        messages = self._of(history, history.weights)
        if self._own is None or history.user >= 0:
            return messages
        if history.learnt is None:
            return self._own.parts(history, messages)
        learnt = self._of(history, history.learnt)
        return self._own.parts(history, learnt) + (messages - learnt)

    def _of(self, history: History, weights: np.ndarray) -> np.ndarray:
        """What each entry brings to the sum: [n, dim] float32."""
        degree = float(weights.sum())
        scaled = weights * np.float32((degree if degree > 0 else 1.0) ** -self._exponent)
        return np.asarray(scaled[:, None] * self._messages[history.items])


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
        own = settings["own"]
        own = None if own is None else own_vector_of(arrays, own, item)
        return MessageSum(arrays["messages"], settings["exponent"], own)

    made: dict[str, Any] = {
        "message_sum": message_sum,
        "least_squares": lambda: LeastSquares(item, **settings),
        "constant": lambda: Constant(arrays["vector"]),
    }
    found: FoldIn = made[kind]()
    return found
