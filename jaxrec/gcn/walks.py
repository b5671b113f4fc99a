"""Walks: the songs that other listeners of a listener's songs have listened to, by the graph alone.

An embedding of some dozen numbers keeps what many listeners share and blurs the rest; a walk of
three steps, listener to song to listener to song, knows each listen. Added to the embeddings'
scores they rank better than either. Walks of five steps reach what everybody listens to: taking
some of them off leaves what is a listener's own. Nothing is learnt by walks, so training does not
know of them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct

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
      longer: l, how much of the walks of five steps is taken off, >= 0.
      kernel: a name in `message_passing.KERNELS`.
    """

    weight: float
    exponent: float
    longer: float
    kernel: str


@struct.dataclass
class WalkModel:
    """What scores with walks are made of, a function of graph and embeddings: see `walk_model`.

    Attributes:
      graph: the normalised graph.
      user: [num_users, dim] float32, of length 1.
      item: [num_items, dim] float32, of length 1 in the mean.
      ends: [num_items, 1] float32, what a walk's end there is multiplied by.
      longer: static; how much of the walks of five steps is taken off.
      kernel: static; a name in `message_passing.KERNELS`.
      max_degree: static; at least as many listens as any user has.
    """

    graph: BipartiteGraph
    user: jax.Array
    item: jax.Array
    ends: jax.Array
    longer: float = struct.field(pytree_node=False)
    kernel: str = struct.field(pytree_node=False)
    max_degree: int = struct.field(pytree_node=False)


@functools.partial(jax.jit, static_argnames=("walks", "max_degree"))
def walk_model(
    graph: BipartiteGraph, embeddings: Embeddings, *, walks: Walks, max_degree: int
) -> WalkModel:
    """Prepares the scores of a user u and a song j, w, c and l as in `Walks`:

        <e_u, e_j> / (|e_u| |e|) + w <a_u - l N N^T a_u, b_j> / (|a_u| |b|),
        a_u = N r_u,  b_j = D^-1/2 R_j d_j^-c,  N = D^-1/2 R D_i^-1/2,

    where r_u is the user's row of R and R_j the song's column, D and D_i the users' and the songs'
    degrees, and |e| and |b| the root mean squares of the lengths of all songs' e_j and b_j. So both
    parts are of the same size whatever the loss, the data and c, and for every user. With c = 1/2
    this is a filter of the songs' graph N^T N, whose eigenvalues s lie in [0, 1]: s - l s^2. With
    l = 0 it is GF-CF's linear one (Shen et al. 2021, https://arxiv.org/abs/2108.07567, eq. 13); l
    lowers the greatest s, as ChebyCF's plateau does (Kim et al. 2025,
    https://arxiv.org/abs/2505.00552).

    Args:
      graph: the normalised graph.
      embeddings: the final ones, e.
      walks: w, c, l and the kernel.
      max_degree: at least as many listens as any user has.
    """
    songs = graph.to_items
    listened = songs.degrees > 0
    # An edge's weight is R_uj (d_u d_j)^-1/2; a song's sum of their squares, |b_j|^2 d_j^(2c-1).
    squares = KERNELS[walks.kernel](
        dataclasses.replace(songs, weights=jnp.square(songs.weights)),
        jnp.ones((graph.num_users, 1), jnp.float32),
        "float32",
    )
    ends = power(songs.degrees, 0.5 - walks.exponent)
    length = _root_mean_square(jnp.sqrt(squares[:, 0]) * ends[:, 0], listened)
    return WalkModel(
        graph=graph,
        user=unit(embeddings.user),
        item=embeddings.item
        / _root_mean_square(jnp.linalg.norm(embeddings.item, axis=1), listened),
        ends=walks.weight * ends / length,
        longer=walks.longer,
        kernel=walks.kernel,
        max_degree=max_degree,
    )


def _root_mean_square(lengths: jax.Array, where: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(lengths), where=where))


@jax.jit
def scores_with_walks(model: WalkModel, users: jax.Array) -> jax.Array:
    """All songs' scores for some users, as `walk_model` says.

    Walks are two neighbourhood sums over the graph, four with the longer ones, with a column for
    each of these users instead of one for each dimension.

    Args:
      model: from `walk_model`.
      users: [n] int32; a user's scores are the same beside whichever others.

    Returns:
      [n, num_items] float32.
    """
    graph, neighbour_sum = model.graph, KERNELS[model.kernel]
    listens = listens_of(graph.to_users, users, max_edges=len(users) * model.max_degree)
    own = listens.weight * jnp.sqrt(graph.to_items.degrees[listens.item])  # r_u, up to its length
    start = jnp.zeros((graph.num_items, len(users))).at[listens.item, listens.row].add(own)
    listeners = neighbour_sum(graph.to_users, start, "float32")  # a_u, up to its length
    length = jnp.sqrt(jnp.sum(jnp.square(listeners), axis=0))
    songs = neighbour_sum(graph.to_items, listeners, "float32")
    if model.longer:
        listeners -= model.longer * neighbour_sum(graph.to_users, songs, "float32")
        songs = neighbour_sum(graph.to_items, listeners, "float32")
    # Full float32 on accelerators too, as for embeddings alone.
    learnt = jnp.matmul(model.user[users], model.item.T, precision=jax.lax.Precision.HIGHEST)
    return learnt + (model.ends * songs / jnp.where(length > 0, length, 1.0)).T
