"""Models of item weights: what each item of a history says of every other item."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from jaxrec.models.histories import Histories
from jaxrec.models.matrix import in_threads, threads
from jaxrec.models.model import Array, Contributions, one_history
from jaxrec.models.sparse_weights import SparseWeights

MANY_ROWS = 16  # of histories, for which threads are worth starting


@dataclasses.dataclass(frozen=True, eq=False)
class ItemWeights:
    """Scores x B / |x| + b of a history x: ItemKNN, RP3beta, EASE, SLIM, cut walks.

    Attributes:
      weights: B, [num_items, num_items] float32 by source and target; sparse or dense.
      bias: b, [num_items] float32; None for 0.
      step_exponent: None: x has the history's weights. Else each is divided by their sum, and the
        share is taken to this power: the probability of a walk's first step.
      metric: m, [num_items] float32: |x| is the root of sum_j (x B)_j m_j x_j; None for 1.
    """

    weights: sparse.csr_array | np.ndarray
    bias: np.ndarray | None = None
    step_exponent: float | None = None
    metric: np.ndarray | None = None

    kind: ClassVar[str] = "item_weights"

    @property
    def num_items(self) -> int:
        """How many items are scored."""
        return int(self.weights.shape[1])

    def scores(self, histories: Histories) -> Array:
        """Every item's score for each history: [n, num_items] float32."""
        if self.kernel_matrix is not None:
            found = self.kernel_matrix.scores(histories, self.entries(histories))
            return found if self.bias is None else found + self.bias
        rows = histories.matrix()
        rows.data = self.entries(histories)
        product = _product(rows, self.weights)
        if self.metric is not None:
            own = np.asarray(rows.multiply(product).multiply(self.metric).sum(axis=1))
            product = sparse.diags_array(1 / _root(own)) @ product
        dense = product.toarray() if sparse.issparse(product) else product
        return np.asarray(dense if self.bias is None else dense + self.bias, np.float32)

    def contributions(self, history: Histories, items: np.ndarray) -> Contributions:
        """An entry's weight times what it says of each item; the rest is the items' popularity."""
        one_history(history)
        own = self._rows(history.items)[:, items]
        rest = {} if self.bias is None else {"popularity": self.bias[items]}
        start = self.entries(history)
        if self.metric is not None:
            among = self._rows(history.items)[:, history.items]
            start = start / _root(start @ among @ (self.metric[history.items] * start))
        return Contributions(start[:, None] * own, rest)

    def similarities(self, item: int) -> np.ndarray:
        """What one item says of every other: [num_items] float32."""
        return self._rows(np.array([item]))[0]

    def arrays(self) -> dict[str, Array]:
        """The matrix, and the bias where there is one."""
        arrays: dict[str, Array]
        if isinstance(self.weights, np.ndarray):
            arrays = {"weights": self.weights}
        else:
            arrays = {
                "offsets": self.weights.indptr,
                "targets": self.weights.indices,
                "values": self.weights.data,
            }
        vectors = {"bias": self.bias, "metric": self.metric}
        return arrays | {name: each for name, each in vectors.items() if each is not None}

    def settings(self) -> dict[str, Any]:
        """The exponent."""
        return {"step_exponent": self.step_exponent}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The model that `arrays` and `settings` tell of.

        Raises:
          ValueError: entries of a sparse matrix that lie outside of it.
        """
        found = {name: np.asarray(each) for name, each in arrays.items()}
        if "weights" in found:
            weights = found["weights"]
        else:
            num_items = len(found["offsets"]) - 1
            weights = sparse.csr_array(
                (found["values"], found["targets"], found["offsets"]), shape=(num_items, num_items)
            )
            weights.check_format(full_check=True)  # what is outside would be written to
        return cls(weights, found.get("bias"), metric=found.get("metric"), **settings)

    @functools.cached_property
    def kernel_matrix(self) -> SparseWeights | None:
        """B and the metric for our CPU kernel; None where SciPy or NumPy must do it."""
        if isinstance(self.weights, np.ndarray):
            return None
        return SparseWeights.of(self.weights, self.metric)

    @functools.cached_property
    def is_finite(self) -> bool:
        """Whether no weight is a NaN or an infinity."""
        values = self.weights.data if sparse.issparse(self.weights) else self.weights
        return bool(np.isfinite(values).all())

    def entries(self, histories: Histories) -> np.ndarray:
        """x's entries: [num_entries] float32."""
        if self.step_exponent is None:
            return histories.weights
        total = np.asarray(histories.matrix().sum(axis=1))[histories.entry_rows()]
        return np.asarray((histories.weights / total) ** self.step_exponent, np.float32)

    def _rows(self, items: np.ndarray) -> np.ndarray:
        """Some rows of B, dense: [k, num_items] float32."""
        rows = self.weights[items]
        return np.asarray(rows.toarray() if sparse.issparse(rows) else rows, np.float32)


def _product(rows: sparse.csr_array, weights: sparse.csr_array | np.ndarray) -> Any:
    """Of a dense matrix in several threads, as each row of it comes from the memory."""
    if not isinstance(weights, np.ndarray) or rows.shape[0] < MANY_ROWS:
        return rows @ weights
    cuts = np.linspace(0, rows.shape[0], threads() + 1).astype(int)
    blocks = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
    return np.concatenate(in_threads(lambda block: rows[block] @ weights, blocks))


def _root(squares: np.ndarray | float) -> np.ndarray:
    """The roots, 1 in place of those that are 0."""
    return np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)
