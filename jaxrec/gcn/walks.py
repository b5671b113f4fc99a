"""Walks: the songs that other listeners of a listener's songs have listened to, by the graph alone.

An embedding of some dozen numbers keeps what many listeners share and blurs the rest; a walk of
three steps, listener to song to listener to song, knows each listen. Added to the embeddings'
scores they rank better than either. Nothing is learnt by them, so training does not know of them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxrec.gcn.batches import listens_of
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.message_passing import KERNELS
from jaxrec.gcn.model import Embeddings, power, unit


@dataclasses.dataclass(frozen=True)
class Walks:
    """How walks are made and added; hashable, so that it can be static under jit.

    Attributes:
      weight: w, how much they count beside the embeddings, >= 0.
      exponent: c, of the degree of the song where a walk ends; the less, the more popular songs.
      kernel: a name in `message_passing.KERNELS`.
    """

    weight: float
    exponent: float
    kernel: str

    def __call__(self, graph: BipartiteGraph, users: jax.Array, *, max_degree: int) -> jax.Array:
        """The walks of some users to all songs:

            p(u, j) = d_u^-1/2 sum_i sum_v R_ui d_i^-1/2 R_vi d_v^-1 R_vj d_j^-c.

        With c = 1/2 it is the linear filter of GF-CF (Shen et al. 2021,
        https://arxiv.org/abs/2108.07567, eq. 13), by which the listeners' rows are of length 1
        where all weights are. It is two neighbourhood sums over the normalised graph, with a
        column for each user instead of one for each dimension.

        Args:
          graph: the normalised graph.
          users: [n] int32; a user's walks are the same beside whichever others.
          max_degree: static; at least as many listens as any user has.

        Returns:
          [n, num_items] float32.
        """
        listens = listens_of(graph.to_users, users, max_edges=len(users) * max_degree)
        own = listens.weight * jnp.sqrt(graph.to_items.degrees[listens.item])  # R_ui d_u^-1/2
        start = jnp.zeros((graph.num_items, len(users))).at[listens.item, listens.row].add(own)
        neighbour_sum = KERNELS[self.kernel]
        listeners = neighbour_sum(graph.to_users, start, "float32")
        songs = neighbour_sum(graph.to_items, listeners, "float32")
        return (songs * power(graph.to_items.degrees, 0.5 - self.exponent)).T


@functools.partial(jax.jit, static_argnames=("walks", "max_degree"))
def scores_with_walks(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    users: jax.Array,
    *,
    walks: Walks,
    max_degree: int,
) -> jax.Array:
    """All songs' scores for some users: <e_u, e_i> / |e_u| + w p(u, i).

    A user's own length changes no order of the embeddings' scores; without it, the two parts are
    of the same proportion for all users.

    Args:
      graph: the normalised graph.
      embeddings: the final ones.
      users: [n] int32.
      walks: p and w.
      max_degree: static; at least as many listens as any user has.

    Returns:
      [n, num_items] float32.
    """
    # Full float32 on accelerators too, as for embeddings alone.
    learnt = jnp.matmul(
        unit(embeddings.user[users]), embeddings.item.T, precision=jax.lax.Precision.HIGHEST
    )
    return learnt + walks.weight * walks(graph, users, max_degree=max_degree)
