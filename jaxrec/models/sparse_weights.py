"""Histories times a sparse matrix of items, every item's score written down, by our CPU kernel."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrec.gcn import native
from jaxrec.models.histories import Histories

MOST_ENTRIES = 2**31 - 1  # the kernel counts in 32 bits


@dataclasses.dataclass(frozen=True, eq=False)
class SparseWeights:
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

    def scores(self, histories: Histories, entries: np.ndarray) -> jax.Array:
        """x B, divided where there is a metric: [n, num_items] float32.

        Without a metric equal to SciPy's product to the bit.

        Args:
          histories: whose items.
          entries: [num_entries] float32, x.
        """
        # Filled up to few lengths, so that few programs are compiled; offsets end before that.
        size = 1 << max(10, (len(entries) - 1).bit_length())
        missing = size - len(entries)
        return _product(
            histories.offsets.astype(np.int32),
            np.pad(histories.items, (0, missing)),
            np.pad(np.asarray(entries, np.float32), (0, missing)),
            self.starts,
            self.targets,
            self.values,
            self.metric,
        )


@jax.jit
def _product(
    offsets: jax.Array,
    items: jax.Array,
    entries: jax.Array,
    starts: jax.Array,
    targets: jax.Array,
    values: jax.Array,
    metric: jax.Array,
) -> jax.Array:
    shape = jax.ShapeDtypeStruct((len(offsets) - 1, len(starts) - 1), jnp.float32)
    call = jax.ffi.ffi_call(native.target(native.HISTORIES), shape)
    return call(offsets, items, entries, starts, targets, values, metric)
