"""The own vectors of users who weren't there, by the BPR loss: solved for."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.models.histories import Histories
from jaxrec.models.model import Array
from jaxrec.models.own_vectors import TINY

MOST_COMPARED = 1024  # items that stand for all as negatives
MOST_HEARD = 128  # items of a history that stand for it, evenly taken
STEPS = 16  # the vector is then within half a degree of where 64 lead
STEP = 0.5
ROWS = 16  # histories solved for at once, always, as by the softmax loss


@dataclasses.dataclass(frozen=True, eq=False)
class BprVector:
    """The own vector that lowers a new user's part of the BPR loss most, at a given length.

    With the items' vectors x held fixed, the own vector o of a user with the history H and the sum
    of messages s lowers

        mean over i in H of sum_j q_j softplus(<s + o, x_j - x_i>)

    where j runs over the items that the user doesn't know (`gcn.losses.bpr`). Items that can be
    told apart would have it grow without end: in training its length is a matter of how long that
    was, so it has theirs who were there. At the least of it o points where the loss falls most,
    along sum_i a_i x_i - sum_j b_j x_j; there it is found, by steps towards that direction, the
    same number for everybody.

    Attributes:
      compared: [m] int32, distinct items that stand for all as negatives.
      shares: [m] float32, q.
      own_length: |o|, the root mean square over the users who were there.
    """

    compared: np.ndarray
    shares: np.ndarray
    own_length: float

    kind: ClassVar[str] = "bpr"

    def whole(self, histories: Histories, sums: np.ndarray, item: np.ndarray) -> np.ndarray:
        """The sums with the own vectors: [n, dim] float32."""
        own = np.zeros_like(sums)
        others = jnp.asarray(item[self.compared])
        for start in range(0, len(histories), ROWS):
            rows = np.arange(start, min(start + ROWS, len(histories)))
            block = np.resize(rows, ROWS)
            items, there, known = self._padded(histories.take(block))
            solved, _ = _solve(sums[block], item[items], there, known, others, *self._loss())
            own[rows] = solved[: len(rows)]
        return np.asarray(sums + own, np.float32)

    def parts(self, history: Histories, messages: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Each entry's message, and its pull on the own vector, what others bring held fixed."""
        items, there, known = self._padded(history)
        sums = messages.sum(axis=0, keepdims=True)
        _, pulls = _solve(
            sums, item[items], there, known, jnp.asarray(item[self.compared]), *self._loss()
        )
        found = np.array(messages, np.float32)
        taken = _taken(len(history.items))
        scaled = np.asarray(pulls)[0, : len(taken), None] * item[history.items[taken]]
        found[taken] += scaled
        return found

    def arrays(self) -> dict[str, Array]:
        """The items compared with, and their shares."""
        return {"compared": self.compared, "shares": self.shares}

    def settings(self) -> dict[str, Any]:
        """The length."""
        return {"own_length": self.own_length}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """What `arrays` and `settings` tell of."""
        return cls(np.asarray(arrays["compared"]), np.asarray(arrays["shares"]), **settings)

    def _loss(self) -> tuple[np.ndarray, np.float32]:
        return self.shares, np.float32(self.own_length)

    def _padded(self, block: Histories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The items that stand for each history [n, width], which are none, and who knows which.

        Returns:
          items [n, width] int32; there [n, width] bool; known [n, m] bool.
        """
        lengths = np.diff(block.offsets)
        width = 1 << max(int(min(lengths.max(initial=1), MOST_HEARD)) - 1, 0).bit_length()
        items = np.zeros((len(block), width), np.int32)
        there = np.zeros((len(block), width), bool)
        known = np.zeros((len(block), len(self.compared)), bool)
        for row, length in enumerate(lengths.tolist()):
            own = block.items[block.offsets[row] : block.offsets[row + 1]]
            taken = _taken(length)
            items[row, : len(taken)], there[row, : len(taken)] = own[taken], True
            known[row] = np.isin(self.compared, own)
        return items, there, known


def _taken(length: int) -> np.ndarray:
    """The places of those entries of a history that stand for it: [<= MOST_HEARD] int."""
    if length <= MOST_HEARD:
        return np.arange(length)
    return np.arange(MOST_HEARD) * length // MOST_HEARD


@jax.jit
def _solve(
    sums: jax.Array,
    heard: jax.Array,
    there: jax.Array,
    known: jax.Array,
    others: jax.Array,
    shares: jax.Array,
    own_length: float,
) -> tuple[jax.Array, jax.Array]:
    """The own vectors of some users, one after another, and what pulls them.

    Args:
      sums: s, [n, dim] float32.
      heard: x_i, [n, width, dim] float32.
      there: [n, width] bool, False for padding.
      known: [n, m] bool, the compared items that the user knows.
      others: x_j, [m, dim] float32.
      shares: q, [m] float32.
      own_length: |o|.

    Returns:
      o [n, dim] float32; and [n, width] float32, c a of o = c (sum_i a_i x_i - sum_j b_j x_j).
    """
    product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def solve_one(
        user: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array]:
        total, positive, is_entry, knows = user
        left = jnp.where(knows, 0, shares)
        left = left / jnp.maximum(left.sum(), TINY)
        each = is_entry / jnp.maximum(is_entry.sum(), 1)

        def pull(own: jax.Array) -> tuple[jax.Array, jax.Array]:
            vector = total + own
            gaps = product(others, vector)[None] - product(positive, vector)[:, None]
            falls = jax.nn.sigmoid(gaps) * left * each[:, None]
            by_entry = falls.sum(axis=1)
            return product(by_entry, positive) - product(falls.sum(axis=0), others), by_entry

        def step(_: int, direction: jax.Array) -> jax.Array:
            return _unit(direction + STEP * _unit(pull(own_length * direction)[0]))

        first = _unit(pull(jnp.zeros_like(total))[0])
        direction = lax.fori_loop(0, STEPS, step, first)
        towards, by_entry = pull(own_length * direction)
        scale = own_length / jnp.maximum(jnp.linalg.norm(towards), TINY)
        return own_length * direction, jnp.where(jnp.any(towards != 0), scale * by_entry, 0)

    return lax.map(solve_one, (sums, heard, there, known))


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), TINY)
