"""Models that filter a history: sums over the graph, there and back, or a low-rank projection."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.gcn.graph import Adjacency, BipartiteGraph
from jaxrec.gcn.message_passing import KERNELS, choose_kernel, prepared
from jaxrec.models.histories import Histories
from jaxrec.models.model import Array, Contributions, one_history, part_of, with_prefix

ENTRIES_PER_CALL = 64  # of a history, when each is filtered by itself
_SHORTEST, _GROWTH = 1024, 4  # lengths that entries are filled up to, for few compilations


@dataclasses.dataclass(frozen=True, eq=False)
class LowRank:
    """A projection of a history, x into out_of: an ideal low-pass filter of GF-CF.

    Attributes:
      into: [num_items, rank] float32.
      out_of: [rank, num_items] float32.
    """

    into: np.ndarray
    out_of: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Filter:
    """Scores a history x by what the graph itself says of it: walks and GF-CF.

        score_j = ends_j (N^T (a - l N N^T a))_j / |a|,  a = N x,

    with the normalised graph N = D^-1/2 R D_i^-1/2 and without the division where `unit_length`
    is false; plus x into out_of, where there is a projection.

    Attributes:
      graph: the normalised graph.
      ends: [num_items] float32, what a walk's end at an item is multiplied by.
      longer: l, how much of the walks of five steps is taken off.
      unit_length: whether a is scaled to length 1.
      low_rank: the projection, or None.
      kernel: a name in `message_passing.KERNELS`, or `auto`; a matter of speed alone.
    """

    graph: BipartiteGraph
    ends: np.ndarray
    longer: float
    unit_length: bool
    low_rank: LowRank | None = None
    kernel: str = "auto"

    kind: ClassVar[str] = "filter"

    @property
    def num_items(self) -> int:
        """How many items are scored."""
        return len(self.ends)

    def scores(self, histories: Histories) -> Array:
        """Every item's score for each history: [n, num_items] float32."""
        scores, length = self._filter(histories)
        return scores / length[:, None] if self.unit_length else scores

    def contributions(self, history: Histories, items: np.ndarray) -> Contributions:
        """What each entry brings when filtered alone, at the whole history's length."""
        one_history(history)
        alone = history.entry_by_entry()
        parts = [np.zeros((0, len(items)), np.float32)]
        for start in range(0, len(alone), ENTRIES_PER_CALL):
            stop = min(start + ENTRIES_PER_CALL, len(alone))
            scores, _ = self._filter(alone.take(np.arange(start, stop)))
            parts.append(np.asarray(scores[:, items]))
        entries = np.concatenate(parts)
        if self.unit_length:
            entries = entries / float(self._filter(history)[1][0])
        return Contributions(entries, {})

    def similarities(self, item: int) -> np.ndarray:
        """The scores of one item's history: [num_items] float32."""
        return np.asarray(self.scores(Histories.of_items([np.array([item])], self.num_items)))[0]

    def arrays(self) -> dict[str, Array]:
        """Both halves of the graph, the ends, and the projection where there is one."""
        arrays: dict[str, Array] = {"ends": self.ends}
        for name in ("to_users", "to_items"):
            half = getattr(self.graph, name)
            arrays |= with_prefix({each: getattr(half, each) for each in _FIELDS}, name)
        if self.low_rank is not None:
            arrays |= {"into": self.low_rank.into, "out_of": self.low_rank.out_of}
        return arrays

    def settings(self) -> dict[str, Any]:
        """How the sums are combined."""
        return {"longer": self.longer, "unit_length": self.unit_length}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The model that `arrays` and `settings` tell of."""
        to_users, to_items = (
            Adjacency(**{name: jnp.asarray(each) for name, each in part_of(arrays, half).items()})
            for half in ("to_users", "to_items")
        )
        low_rank = None
        if "into" in arrays:
            low_rank = LowRank(np.asarray(arrays["into"]), np.asarray(arrays["out_of"]))
        return cls(
            BipartiteGraph(to_users, to_items),
            np.asarray(arrays["ends"]),
            **settings,
            low_rank=low_rank,
        )

    def _filter(self, histories: Histories) -> tuple[jax.Array, jax.Array]:
        """The scores before they are divided [n, num_items], and |a| [n], 1 in place of 0."""
        size = _SHORTEST
        while size < len(histories.items):
            size *= _GROWTH
        padding = (0, size - len(histories.items))
        low_rank = self.low_rank
        kernel, graph = self._sums_over
        return _filtered(
            graph,
            self.ends,
            None if low_rank is None else (low_rank.into, low_rank.out_of),
            np.pad(histories.items, padding),
            np.pad(histories.entry_rows(), padding),
            np.pad(histories.weights, padding),
            count=len(histories),
            longer=self.longer,
            kernel=kernel,
        )

    @functools.cached_property
    def _sums_over(self) -> tuple[str, BipartiteGraph]:
        """The kernel here, and the graph as it needs it."""
        kernel = choose_kernel(self.kernel, jax.default_backend())
        return kernel, prepared(self.graph, kernel)


_FIELDS = [field.name for field in dataclasses.fields(Adjacency)]


@functools.partial(jax.jit, static_argnames=("count", "longer", "kernel"))
def _filtered(
    graph: BipartiteGraph,
    ends: jax.Array,
    low_rank: tuple[jax.Array, jax.Array] | None,
    item: jax.Array,
    row: jax.Array,
    weight: jax.Array,
    *,
    count: int,
    longer: float,
    kernel: str,
) -> tuple[jax.Array, jax.Array]:
    """`Filter._filter`: neighbourhood sums with a column for each history; weight 0 pads."""
    neighbour_sum = KERNELS[kernel]
    start = jnp.zeros((graph.num_items, count)).at[item, row].add(weight)
    users = neighbour_sum(graph.to_users, start, "float32")
    length = jnp.sqrt(jnp.sum(jnp.square(users), axis=0))
    items = neighbour_sum(graph.to_items, users, "float32")
    if longer:
        users -= longer * neighbour_sum(graph.to_users, items, "float32")
        items = neighbour_sum(graph.to_items, users, "float32")
    scores = (ends[:, None] * items).T
    if low_rank is not None:
        into, out_of = low_rank
        vectors = jnp.zeros((count, into.shape[1])).at[row].add(weight[:, None] * into[item])
        scores += jnp.matmul(vectors, out_of, precision=jax.lax.Precision.HIGHEST)
    return scores, jnp.where(length > 0, length, 1.0)
