"""Walks: the songs that other listeners of a listener's songs have listened to, by the graph alone.

An embedding of some dozen numbers keeps what many listeners share and blurs the rest; a walk of
three steps, listener to song to listener to song, knows each listen. Added to the embeddings'
scores they rank better than either. Nothing is learnt by them, so training does not know of them.
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
      start_exponent: a, of the degree of the listener's song where a walk starts.
      listener_exponent: b, of the degree of the other listener in its middle.
      end_exponent: c, of the degree of the song where it ends; the less, the more popular songs.
      kernel: a name in `message_passing.KERNELS`.
    """

    weight: float
    start_exponent: float
    listener_exponent: float
    end_exponent: float
    kernel: str


@struct.dataclass
class WalkModel:
    """What scores with walks are made of, a function of graph and embeddings: see `walk_model`.

    Attributes:
      graph: the normalised graph.
      user: [num_users, dim] float32, of length 1.
      item: [num_items, dim] float32, of length 1 in the mean.
      starts: [num_items, 1] float32, what a walk's start there is multiplied by.
      middles: [num_users, 1] float32, and before and after its listener.
      ends: [num_items, 1] float32, and its end there.
      kernel: static; a name in `message_passing.KERNELS`.
      max_degree: static; at least as many listens as any user has.
    """

    graph: BipartiteGraph
    user: jax.Array
    item: jax.Array
    starts: jax.Array
    middles: jax.Array
    ends: jax.Array
    kernel: str = struct.field(pytree_node=False)
    max_degree: int = struct.field(pytree_node=False)


@functools.partial(jax.jit, static_argnames=("walks", "max_degree"))
def walk_model(
    graph: BipartiteGraph, embeddings: Embeddings, *, walks: Walks, max_degree: int
) -> WalkModel:
    """Prepares the scores of a user u and a song j, w the weight of walks, a, b, c the exponents:

        <e_u, e_j> / (|e_u| |e|) + w <p_u, q_j> / (|p_u| |q|),
        p_u = D^-b/2 R D_i^-a r_u,  q_j = D^-b/2 R_j d_j^-c,

    where r_u is the user's row of R and R_j the song's column, D and D_i the users' and the songs'
    degrees, and |e| and |q| the root mean squares of the lengths of all songs' e_j and q_j. So both
    parts are of the same size whatever the loss, the data and the exponents, and for every user.
    With a = c = 1/2 and b = 1 the inner products <p_u, q_j> are those of GF-CF's linear filter (Shen
    et al. 2021, https://arxiv.org/abs/2108.07567, eq. 13), with a = b and a binary R they
    order as those of RP3beta without its cut to neighbours (Paudel et al. 2016,
    https://doi.org/10.1145/2955101).

    Args:
      graph: the normalised graph.
      embeddings: the final ones, e.
      walks: w, a, b, c and the kernel.
      max_degree: at least as many listens as any user has.
    """
    songs = graph.to_items
    listened = songs.degrees > 0
    # An edge's weight is R_uj (d_u d_j)^-1/2; these sums of squares are |q_j|^2 d_j^(2c-1).
    squares = KERNELS[walks.kernel](
        dataclasses.replace(songs, weights=jnp.square(songs.weights)),
        power(graph.to_users.degrees, 1 - walks.listener_exponent),
        "float32",
    )
    ends = power(songs.degrees, 0.5 - walks.end_exponent)
    length = _root_mean_square(jnp.sqrt(squares[:, 0]) * ends[:, 0], listened)
    return WalkModel(
        graph=graph,
        user=unit(embeddings.user),
        item=embeddings.item
        / _root_mean_square(jnp.linalg.norm(embeddings.item, axis=1), listened),
        starts=power(songs.degrees, 1 - walks.start_exponent),
        middles=power(graph.to_users.degrees, 0.5 * (1 - walks.listener_exponent)),
        ends=walks.weight * ends / length,
        kernel=walks.kernel,
        max_degree=max_degree,
    )


def _root_mean_square(lengths: jax.Array, where: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(lengths), where=where))


@jax.jit
def scores_with_walks(model: WalkModel, users: jax.Array) -> jax.Array:
    """All songs' scores for some users, as `walk_model` says.

    Walks are two neighbourhood sums over the graph, with a column for each of these users instead
    of one for each dimension.

    Args:
      model: from `walk_model`.
      users: [n] int32; a user's scores are the same beside whichever others.

    Returns:
      [n, num_items] float32.
    """
    graph, neighbour_sum = model.graph, KERNELS[model.kernel]
    listens = listens_of(graph.to_users, users, max_edges=len(users) * model.max_degree)
    own = listens.weight * model.starts[listens.item, 0]
    start = jnp.zeros((graph.num_items, len(users))).at[listens.item, listens.row].add(own)
    # p_u, up to its length.
    listeners = model.middles * neighbour_sum(graph.to_users, start, "float32")
    songs = neighbour_sum(graph.to_items, model.middles * listeners, "float32")
    length = jnp.sqrt(jnp.sum(jnp.square(listeners), axis=0))
    # Full float32 on accelerators too, as for embeddings alone.
    learnt = jnp.matmul(model.user[users], model.item.T, precision=jax.lax.Precision.HIGHEST)
    return learnt + (model.ends * songs / jnp.where(length > 0, length, 1.0)).T
