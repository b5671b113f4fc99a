"""Where a new user's vector points, as `jaxrec.models.own_vectors` has it, in NumPy."""

import numpy as np

from jaxrec.serve.history import History

STEPS = 16
LONGEST_STEP, STEP_SCALE, MOMENTUM = 0.7, 2.0, 0.5
TINY = np.finfo(np.float32).tiny


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
    ) -> None:
        self._item, self._shares = item, shares
        self._temperature, self._negative_weight = temperature, np.float32(negative_weight)
        self._column = np.full(len(item), -1, np.int32)
        self._column[compared] = np.arange(len(compared), dtype=np.int32)
        self._others = unit(item[compared])

    def solve(self, history: History) -> tuple[np.ndarray, np.ndarray]:
        """v [dim], zeros for an empty history, and what each entry brings to it [n, dim]."""
        if self not in history.solved:
            history.solved[self] = self._solve(history)
        found: tuple[np.ndarray, np.ndarray] = history.solved[self]
        return found

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


def unit(vectors: np.ndarray) -> np.ndarray:
    """At length 1; zeros stay: [n, dim] float32."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, TINY), np.float32)
