"""A new user's own vector, as `jaxrec.models.own_vectors` and `bpr_vectors` have it, in NumPy."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jaxrec.serve.history import History

STEPS = 16
LONGEST_STEP, STEP_SCALE, MOMENTUM = 0.7, 2.0, 0.5
MOST_HEARD, STEP = 128, np.float32(0.5)  # of the BPR loss
EXPONENT = 80.0  # beyond which float32 has no exponential
TINY = np.finfo(np.float32).tiny


class OwnVector(Protocol):
    """How what a user's vector is beside the sum of messages is found."""

    def whole(self, history: History, messages: np.ndarray) -> np.ndarray:
        """The vector [dim]; messages [n, dim] are what each entry brings to the sum."""

    def parts(self, history: History, messages: np.ndarray) -> np.ndarray:
        """What each entry brings to the whole: [n, dim] float32."""


class SoftmaxDirection:
    """The least of the user's part of the softmax loss, the items held fixed."""

    def __init__(
        self,
        item: np.ndarray,
        compared: np.ndarray,
        shares: np.ndarray,
        *,
        temperature: float,
        negative_weight: float,
        own_length: float,
    ) -> None:
        self._item, self._shares = item, shares
        self._temperature, self._negative_weight = temperature, np.float32(negative_weight)
        self._column = np.full(len(item), -1, np.int32)
        self._column[compared] = np.arange(len(compared), dtype=np.int32)
        self._others = unit(item[compared])
        self._own_length = own_length

    def whole(self, history: History, messages: np.ndarray) -> np.ndarray:
        """The direction, as long as the sum and the users' own vectors at right angles: [dim]."""
        return self._length(messages) * self.solve(history)[0]

    def parts(self, history: History, messages: np.ndarray) -> np.ndarray:
        """Each entry's share in the mean direction: [n, dim] float32."""
        return self._length(messages) * self.solve(history)[1]

    def solve(self, history: History) -> tuple[np.ndarray, np.ndarray]:
        """v [dim], zeros for an empty history, and what each entry brings to it [n, dim]."""
        if self not in history.solved:
            history.solved[self] = self._solve(history)
        found: tuple[np.ndarray, np.ndarray] = history.solved[self]
        return found

    def _length(self, messages: np.ndarray) -> np.float32:
        total = messages.sum(axis=0)
        return np.float32((float(total @ total) + self._own_length**2) ** 0.5)

    def _solve(self, history: History) -> tuple[np.ndarray, np.ndarray]:
        own = unit(self._item[history.items])
        if len(own) == 0:
            return np.zeros(self._item.shape[1], np.float32), own
        mean = own.mean(axis=0)
        shares = self._shares.copy()
        known = self._column[history.items]
        shares[known[known >= 0]] = 0
        step = np.float32(min(LONGEST_STEP, STEP_SCALE * self._temperature**0.5))
        v, velocity = unit(mean[None])[0], np.zeros_like(mean)
        for _ in range(STEPS):
            velocity = np.float32(MOMENTUM) * velocity + self._uphill(v, mean, shares)
            velocity -= (velocity @ v) * v
            v = v + step * velocity
            v /= max(np.linalg.norm(v), TINY)
        length = max(np.linalg.norm(self._uphill(v, mean, shares)), TINY)
        return v, own / np.float32(length * len(own))

    def _uphill(self, v: np.ndarray, mean: np.ndarray, shares: np.ndarray) -> np.ndarray:
        mass = self._others @ (v * np.float32(1 / self._temperature))
        mass -= mass.max()
        np.exp(mass, out=mass)
        mass *= shares
        pull = (mass @ self._others) / max(mass.sum(), TINY)
        return np.asarray(mean - self._negative_weight * pull)


class BprVector:
    """The least of the user's part of the BPR loss, at the length of those who were there."""

    def __init__(
        self, item: np.ndarray, compared: np.ndarray, shares: np.ndarray, *, own_length: float
    ) -> None:
        self._item, self._compared, self._shares = item, compared, shares
        self._others, self._length = item[compared], np.float32(own_length)

    def whole(self, history: History, messages: np.ndarray) -> np.ndarray:
        """The sum with the own vector: [dim]."""
        return messages.sum(axis=0) + self._found(history, messages)[0]

    def parts(self, history: History, messages: np.ndarray) -> np.ndarray:
        """Each entry's message, and its pull on the own vector: [n, dim] float32."""
        found, taken = messages.copy(), _taken(len(history.items))
        pulls = self._found(history, messages)[1]
        found[taken] += pulls[:, None] * self._item[history.items[taken]]
        return found

    def _found(self, history: History, messages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self not in history.solved:
            history.solved[self] = self._solve(history, messages.sum(axis=0))
        found: tuple[np.ndarray, np.ndarray] = history.solved[self]
        return found

    def _solve(self, history: History, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The own vector [dim], and how much each entry that stands for all pulls at it."""
        taken = _taken(len(history.items))
        if len(taken) == 0:
            return np.zeros_like(total), np.zeros(0, np.float32)
        heard = self._item[history.items[taken]]
        left = np.where(np.isin(self._compared, history.items), 0, self._shares)
        left /= max(left.sum(), TINY) * len(taken)

        def pull(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            vector = total + own
            falls = (self._others @ vector)[None] - (heard @ vector)[:, None]
            np.negative(falls, out=falls)
            np.exp(np.minimum(falls, EXPONENT, out=falls), out=falls)
            falls += 1
            np.divide(left, falls, out=falls)
            by_entry = falls.sum(axis=1)
            return by_entry @ heard - falls.sum(axis=0) @ self._others, by_entry

        direction = _unit(pull(np.zeros_like(total))[0])
        for _ in range(STEPS):
            direction = _unit(direction + STEP * _unit(pull(self._length * direction)[0]))
        towards, by_entry = pull(self._length * direction)
        scale = self._length / np.maximum(np.linalg.norm(towards), TINY)
        return self._length * direction, scale * by_entry if towards.any() else 0 * by_entry


def own_vector_of(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], item: np.ndarray
) -> OwnVector:
    """The own vector of `settings["kind"]`; KeyError where there is none."""
    made: dict[str, type[SoftmaxDirection | BprVector]]
    made = {"softmax": SoftmaxDirection, "bpr": BprVector}
    told = {name: each for name, each in settings.items() if name != "kind"}
    return made[settings["kind"]](item, arrays["own.compared"], arrays["own.shares"], **told)


def _taken(length: int) -> np.ndarray:
    """The places of those entries of a history that stand for it: [<= MOST_HEARD] int."""
    if length <= MOST_HEARD:
        return np.arange(length)
    return np.arange(MOST_HEARD) * length // MOST_HEARD


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(np.linalg.norm(vector), TINY), np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """At length 1; zeros stay: [n, dim] float32."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, TINY), np.float32)
