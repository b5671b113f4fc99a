"""Linear maps over the whole graph that know their own derivative, for any kernel."""

import functools

import jax

from jaxrec.gcn.embeddings import EVERY_ROW, Embeddings, Masks
from jaxrec.gcn.graph import Adjacency, BipartiteGraph
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.shares import by_columns


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def propagate(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    num_layers: int,
    sums: Sums,
    read: Masks = EVERY_ROW,
) -> Embeddings:
    """Light graph convolution: the mean over layers 0..L of A^l e.

    He et al. 2020, https://arxiv.org/abs/2002.02126, eq. 8, with weights 1 / (L + 1). Evaluated
    by Horner's rule, h = e + A h, which needs no sum over layers beside h.

    The map is linear and A symmetric, so its vector-Jacobian product is the map itself: the
    backward pass is one more propagation, and no layer's output is kept for it. The graph is a
    constant; it has no gradient.

    Where only some rows are read, the last layer need sum no others, and the first product of the
    backward pass meets zeros in all others. Their sums are left out by the kernels that can.

    Args:
      graph: the normalised graph.
      embeddings: layer 0.
      num_layers: L >= 0; 0 is plain matrix factorisation.
      sums: how neighbourhoods are summed.
      read: the rows that the caller reads; others may hold anything.

    Returns:
      The final embeddings, shaped as layer 0.
    """
    return _horner(graph, embeddings, num_layers, sums, receiving=read)


def _horner(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    num_layers: int,
    sums: Sums,
    *,
    receiving: Masks = EVERY_ROW,
    sending: Masks = EVERY_ROW,
) -> Embeddings:
    """`propagate`, where the last layer's rows `receiving` are read and others of layer 0 are 0."""

    def of_block(first: Embeddings) -> Embeddings:
        h = first
        for layer in range(num_layers):
            to = receiving if layer == num_layers - 1 else EVERY_ROW
            of = sending if layer == 0 else EVERY_ROW
            h = Embeddings(
                user=sums(
                    graph.to_users, h.item, base=first.user, receiving=to.user, sending=of.item
                ),
                item=sums(
                    graph.to_items, h.user, base=first.item, receiving=to.item, sending=of.user
                ),
            )
        return jax.tree.map(lambda table: table / (num_layers + 1), h)

    # All layers of a few dimensions after another, so that what lies between them is narrow, too.
    return by_columns(of_block, sums.gather_dims if num_layers else 0, embeddings)


def _propagate_forward(
    graph: BipartiteGraph, embeddings: Embeddings, num_layers: int, sums: Sums, read: Masks
) -> tuple[Embeddings, tuple[BipartiteGraph, Masks]]:
    return propagate(graph, embeddings, num_layers, sums, read), (graph, read)


def _propagate_backward(
    num_layers: int, sums: Sums, kept: tuple[BipartiteGraph, Masks], cotangent: Embeddings
) -> tuple[None, Embeddings, None]:
    graph, read = kept
    return None, _horner(graph, cotangent, num_layers, sums, sending=read), None


propagate.defvjp(_propagate_forward, _propagate_backward)


def neighbour_sums(
    graph: BipartiteGraph, embeddings: Embeddings, sums: Sums, read: Masks = EVERY_ROW
) -> Embeddings:
    """A x: every user's sum over items, every item's over users.

    Args:
      graph: the normalised graph; a constant, without a gradient.
      embeddings: x.
      sums: how neighbourhoods are summed.
      read: the rows that the caller reads; others may hold anything.
    """
    return Embeddings(
        user=half_sums(graph.to_users, graph.to_items, embeddings.item, sums, read.user),
        item=half_sums(graph.to_items, graph.to_users, embeddings.user, sums, read.item),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def half_sums(
    there: Adjacency,
    back: Adjacency,
    senders: jax.Array,
    sums: Sums,
    read: jax.Array | None = None,
) -> jax.Array:
    """One side's sums over the other. A is symmetric, so the VJP is the sums the way back.

    Args:
      there: the orientation to gather along; a constant, without a gradient.
      back: the other orientation of the same edges.
      senders: [num_senders, dim] float32.
      sums: how neighbourhoods are summed.
      read: [num_rows] bool, the rows that the caller reads; None for all.

    Returns:
      [num_rows, dim] float32.
    """
    return sums(there, senders, receiving=read)


def _half_forward(
    there: Adjacency, back: Adjacency, senders: jax.Array, sums: Sums, read: jax.Array | None
) -> tuple[jax.Array, tuple[Adjacency, jax.Array | None]]:
    return half_sums(there, back, senders, sums, read), (back, read)


def _half_backward(
    sums: Sums, kept: tuple[Adjacency, jax.Array | None], cotangent: jax.Array
) -> tuple[None, None, jax.Array, None]:
    back, read = kept
    return None, None, sums(back, cotangent, sending=read), None


half_sums.defvjp(_half_forward, _half_backward)
