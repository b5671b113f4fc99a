"""Histories times a sparse matrix of items, by our CPU kernel."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrec.gcn import native
from jaxrec.models.histories import Histories

MOST_ENTRIES = 2**31 - 1  # the kernel counts in 32 bits


class Entries(NamedTuple):
    """Rows x of entries at items, for the kernel.

    Attributes:
      offsets: [n + 1] int32, row r has the entries `offsets[r]:offsets[r + 1]`.
      items: [size] int32; all rows', and then anything.
      values: [size] float32.
    """

    offsets: jax.Array | np.ndarray
    items: jax.Array | np.ndarray
    values: jax.Array | np.ndarray

    @classmethod
    def of(cls, histories: Histories, values: np.ndarray, size: int) -> Self:
        """Histories' items with other values, filled up to a size."""
        missing = size - len(values)
        return cls(
            histories.offsets.astype(np.int32),
            np.pad(histories.items, (0, missing)),
            np.pad(np.asarray(values, np.float32), (0, missing)),
        )


def size_for(num_entries: int) -> int:
    """A size for so many entries, one of few, so that few programs are compiled."""
    return 1 << max(10, (num_entries - 1).bit_length())


class SparseWeights(NamedTuple):
    """A sparse matrix B where the kernel can reach it.

    Attributes:
      starts: [num_items + 1] int32, row j has the entries `starts[j]:starts[j + 1]`.
      targets: [entries] int32, their columns.
      values: [entries] float32.
      metric: [num_items] float32, or empty: what scores are divided by, as of `ItemWeights`.
    """

    starts: jax.Array
    targets: jax.Array
    values: jax.Array
    metric: jax.Array

    @classmethod
    def of(cls, weights: sparse.csr_array, metric: np.ndarray | None) -> Self | None:
        """The matrix; None where this machine can't have the kernel, or B is too large for it."""
        if jax.default_backend() != "cpu" or native.unavailable_reason() is not None:
            return None
        if weights.nnz > MOST_ENTRIES:
            return None
        nothing = np.zeros(0, np.float32)
        return cls(
            starts=jnp.asarray(weights.indptr, jnp.int32),
            targets=jnp.asarray(weights.indices, jnp.int32),
            values=jnp.asarray(weights.data, jnp.float32),
            metric=jnp.asarray(nothing if metric is None else metric, jnp.float32),
        )

    def scores(self, histories: Histories, values: np.ndarray) -> jax.Array:
        """x B, divided where there is a metric: [n, num_items] float32.

        Without a metric equal to SciPy's product to the bit.

        Args:
          histories: whose items.
          values: [num_entries] float32, x.
        """
        return _product(Entries.of(histories, values, size_for(len(values))), self)


class Added(NamedTuple):
    """What is added to other scores, block of rows by block, on the device.

    Attributes:
      rows: x, with the offsets of each block: [blocks, rows in a block + 1].
      matrix: B.
      share: [] float32, how much x B counts.
      floor: [columns] float32, added too: -inf where a column is not to be found, 0 elsewhere.
    """

    rows: Entries
    matrix: SparseWeights
    share: jax.Array | np.float32
    floor: jax.Array

    def to(self, scores: jax.Array, offsets: jax.Array) -> jax.Array:
        """The sum, made where the scores are, a row in the cache at a time.

        Args:
          scores: [rows in a block, columns] float32, at least as many columns as there are items.
          offsets: [rows in a block + 1] int32, the block's.
        """
        rows = self.rows._replace(offsets=offsets)
        call = jax.ffi.ffi_call(
            native.target(native.HISTORIES),
            jax.ShapeDtypeStruct(scores.shape, jnp.float32),
            input_output_aliases={len(rows) + len(self.matrix): 0},
        )
        return call(*rows, *self.matrix, scores, self.floor, self.share)


@jax.jit
def _product(rows: Entries, matrix: SparseWeights) -> jax.Array:
    shape = (len(rows.offsets) - 1, len(matrix.starts) - 1)
    call = jax.ffi.ffi_call(
        native.target(native.HISTORIES), jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    nothing = jnp.zeros(0, jnp.float32)
    return call(*rows, *matrix, nothing.reshape(0, 0), nothing, jnp.float32(0))
