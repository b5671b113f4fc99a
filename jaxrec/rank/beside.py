"""Factors with a sparse matrix of items beside them, as a network with cut walks is.

Ranked as factors are: a block of users' scores is added to where it was made, and never written
down for all. Half of what ranking by such a model took was the memory in between.
"""

import dataclasses
from typing import Self

import jax
import numpy as np

from jaxrec.models.blend import Blend
from jaxrec.models.factors import Factors
from jaxrec.models.histories import Histories
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.model import Model
from jaxrec.models.sparse_weights import Added, Entries, SparseWeights, size_for
from jaxrec.rank.best_columns import USERS_PER_BLOCK


@dataclasses.dataclass(frozen=True, eq=False)
class Beside:
    """A sparse model of item weights that is added to one of factors.

    Attributes:
      model: of item weights, without a bias.
      matrix: its matrix for the kernel.
      share: how much it counts.
    """

    model: ItemWeights
    matrix: SparseWeights
    share: float

    @classmethod
    def of(cls, model: Model) -> tuple[Factors, Self] | None:
        """The two that a model is the sum of, or None where it is another."""
        if not isinstance(model, Blend) or model.known is not None or len(model.members) != 2:
            return None
        factors, beside = model.members
        if not isinstance(factors, Factors) or not isinstance(beside, ItemWeights):
            return None
        matrix = beside.kernel_matrix
        if model.weights[0] != 1.0 or matrix is None or beside.bias is not None:
            return None
        return factors, cls(beside, matrix, model.weights[1])

    def size(self, histories: Histories, chunk: int) -> int:
        """A size for the entries of any `chunk` histories that follow each other."""
        starts = np.arange(0, len(histories), chunk)
        return size_for(int(np.diff(histories.offsets[np.r_[starts, len(histories)]]).max()))

    def added(self, histories: Histories, chunk: int, size: int, floor: jax.Array) -> Added:
        """What is added for a chunk's histories; of those that it lacks, nothing.

        Args:
          histories: at most `chunk`.
          chunk: a multiple of USERS_PER_BLOCK.
          size: of their entries, as of `size`.
          floor: [columns].
        """
        rows = Entries.of(histories, self.model.entries(histories), size)
        ends = np.pad(np.asarray(rows.offsets[1:]), (0, chunk - len(histories)), mode="edge")
        ends = ends.reshape(-1, USERS_PER_BLOCK)
        starts = np.r_[0, ends[:-1, -1]].astype(np.int32)
        by_block = rows._replace(offsets=np.c_[starts, ends])
        return Added(by_block, self.matrix, np.float32(self.share), floor)
