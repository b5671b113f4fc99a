"""Graph convolution: how the final embeddings are made of layer 0 (LightGCN and LightGCN++)."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxrec.gcn.batches import BatchInteractions
from jaxrec.gcn.embeddings import EVERY_ROW, Embeddings, Masks, unit_table
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.propagation import half_sums, neighbour_sums, propagate
from jaxrec.gcn.shares import ReadRows, with_rows


class Convolution(Protocol):
    """What an objective asks of a convolution; hashable, so that it can be static under jit.

    One that derives from this class need define `__call__` alone. Its parameters may be more than
    layer 0, such as a subclass of `Embeddings` with further arrays.
    """

    def __call__(
        self, graph: BipartiteGraph, embeddings: Embeddings, read: Masks = EVERY_ROW
    ) -> Embeddings:
        """The final embeddings: those of layer 0 and of the layers above it, combined.

        Args:
          graph: the normalised graph.
          embeddings: layer 0.
          read: the rows that the caller reads; others may hold anything.
        """

    def of_users(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        batch: BatchInteractions,
        read: ReadRows = with_rows,
    ) -> Embeddings:
        """The final embeddings of some users and of all items, as `__call__` has them.

        Args:
          graph: the normalised graph.
          embeddings: layer 0.
          batch: n users with all their edges, from `interactions_of`.
          read: how rows are read that other devices may have.

        Returns:
          The users' rows [n, dim], as `read` gives them, and this device's items' [num_items, dim].
        """
        final = self(graph, embeddings)
        _, user = read(final.user, batch.user, graph.user_places)
        return Embeddings(user=user, item=final.item)


@dataclasses.dataclass(frozen=True)
class LightGCN(Convolution):
    """Light graph convolution (He et al. 2020, https://arxiv.org/abs/2002.02126).

    The defaults are LightGCN's; the rest is LightGCN++'s (Lee et al. 2024,
    https://doi.org/10.1145/3640457.3688176):

        e_u^(l+1) = d_u^-a sum_i w_ui d_i^-b x_i^(l),  x = e or e / |e|,
        e_u = g e_u^(0) + (1 - g) (e_u^(1) + ... + e_u^(L)) / L.

    Attributes:
      num_layers: L >= 0; 0 is plain matrix factorisation.
      sums: how neighbourhoods are summed.
      receiver_exponent: a, of the degree of the node that receives.
      sender_exponent: b, of the degree of the node that sends.
      unit_layers: whether each layer's input is scaled to length 1.
      layer_zero: g, the weight of layer 0; None for the mean over all layers.
    """

    num_layers: int
    sums: Sums
    receiver_exponent: float = 0.5
    sender_exponent: float = 0.5
    unit_layers: bool = False
    layer_zero: float | None = None

    @property
    def own_weight(self) -> float:
        """g, the weight of layer 0 in the final embeddings; 1 where there is no other layer."""
        if self.num_layers == 0:
            return 1.0
        return 1 / (self.num_layers + 1) if self.layer_zero is None else self.layer_zero

    @property
    def layer_weight(self) -> float:
        """(1 - g) / L, the weight of each layer above layer 0."""
        return (1 - self.own_weight) / max(1, self.num_layers)

    def __call__(
        self, graph: BipartiteGraph, embeddings: Embeddings, read: Masks = EVERY_ROW
    ) -> Embeddings:
        """As `Convolution` says."""
        if self._is_light():
            return propagate(graph, embeddings, self.num_layers, self.sums, read)
        if self.num_layers == 0:
            return embeddings
        below, sent, share = self._before_last_sums(graph, embeddings)
        sums = neighbour_sums(graph, sent, self.sums, read)
        return jax.tree.map(lambda rest, part, total: rest + part * total, below, share, sums)

    def of_users(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        batch: BatchInteractions,
        read: ReadRows = with_rows,
    ) -> Embeddings:
        """As `Convolution` says.

        In the last layer the users gather along their own edges alone, and the gradient comes back
        along them: of the 4 L sums over all edges that a step takes, two less.
        """

        def users(table: jax.Array) -> jax.Array:
            return read(table, batch.user, graph.user_places)[1]

        if self.num_layers == 0:
            return Embeddings(users(embeddings.user), embeddings.item)
        sending = None
        if self._is_light() and self.num_layers == 1 and self.sums.dtype == "float32":
            item, sending = read(embeddings.item, batch.item, graph.item_places)
            embeddings = dataclasses.replace(embeddings, item=item)
        below, sent, share = self._before_last_sums(graph, embeddings)
        if sending is None:
            _, sending = read(sent.item.astype(self.sums.dtype), batch.item, graph.item_places)
        own = jax.ops.segment_sum(
            batch.weight[:, None] * sending.astype(jnp.float32),
            batch.row,
            num_segments=len(batch.user),
            indices_are_sorted=True,
        )
        items = half_sums(graph.to_items, graph.to_users, sent.user, self.sums)
        return Embeddings(
            user=users(below.user) + users(share.user) * own,
            item=below.item + share.item * items,
        )

    def item_messages(self, graph: BipartiteGraph, embeddings: Embeddings) -> jax.Array:
        """What each item adds to the final embedding of a user who has interacted with it.

        Every user's final embedding is a sum over their own history, for those who weren't trained
        too: with M the messages, w_ui the weights of the edges before normalisation and d_u their
        sum,

            e_u = g e_u^(0) + d_u^-a sum_i w_ui M_i,
            M_i = (1 - g) / L d_i^-b (x_i^(0) + ... + x_i^(L-1)).

        Args:
          graph: the normalised graph.
          embeddings: layer 0.

        Returns:
          [num_items, dim] float32; zeros without layers.
        """
        if self.num_layers == 0:
            return jnp.zeros_like(embeddings.item)
        if self._is_light():
            _, sent, _ = self._before_last_sums(graph, embeddings)
            total = self.sums.rounded(sent.item)
        else:
            sent = self._sent(graph, embeddings)
            total = self.sums.rounded(sent.item)
            for _ in range(1, self.num_layers):
                sent = self._sent(graph, self._received(graph, sent))
                total += self.sums.rounded(sent.item)
        # The graph's weights hold d^-1/2 on both sides already; here there are no weights.
        return self.layer_weight * power(graph.to_items.degrees, -0.5) * total

    def next_layer(self, graph: BipartiteGraph, layer: Embeddings) -> Embeddings:
        """e^(l+1) of e^(l), for all nodes."""
        return self._received(graph, self._sent(graph, layer))

    def _is_light(self) -> bool:
        symmetric = self.receiver_exponent == self.sender_exponent == 0.5
        return symmetric and not self.unit_layers and self.layer_zero is None

    def _before_last_sums(
        self, graph: BipartiteGraph, embeddings: Embeddings
    ) -> tuple[Embeddings, Embeddings, Embeddings]:
        """`below`, `sent` and `share`, of which the result is below + share (A sent), L >= 1."""
        if self._is_light():
            count = self.num_layers
            mean = propagate(graph, embeddings, count - 1, self.sums)
            return (
                jax.tree.map(lambda first: first / (count + 1), embeddings),
                jax.tree.map(lambda part: part * count, mean),  # Horner's h
                jax.tree.map(lambda table: jnp.full((len(table), 1), 1 / (count + 1)), embeddings),
            )
        each = self.layer_weight
        below = jax.tree.map(lambda first: self.own_weight * first, embeddings)
        sent = self._sent(graph, embeddings)
        for _ in range(1, self.num_layers):
            layer = self._received(graph, sent)
            below = jax.tree.map(lambda rest, part: rest + each * part, below, layer)
            sent = self._sent(graph, layer)
        receiving = _powers(graph, 0.5 - self.receiver_exponent)
        return below, sent, jax.tree.map(lambda degrees: each * degrees, receiving)

    def _sent(self, graph: BipartiteGraph, layer: Embeddings) -> Embeddings:
        """What A is applied to: the graph's weights hold d^-1/2 on both sides already."""
        if self.unit_layers:
            layer = jax.tree.map(unit_table, layer)
        return jax.tree.map(jnp.multiply, layer, _powers(graph, 0.5 - self.sender_exponent))

    def _received(self, graph: BipartiteGraph, sent: Embeddings) -> Embeddings:
        """The next layer, of what this one sends."""
        sums = neighbour_sums(graph, sent, self.sums)
        return jax.tree.map(jnp.multiply, sums, _powers(graph, 0.5 - self.receiver_exponent))


def power(degrees: jax.Array, exponent: float) -> jax.Array:
    """degrees^exponent as a column, 1 for isolated nodes: [n, 1] float32."""
    return jnp.where(degrees > 0, degrees, 1.0)[:, None] ** exponent


def _powers(graph: BipartiteGraph, exponent: float) -> Embeddings:
    return Embeddings(
        user=power(graph.to_users.degrees, exponent), item=power(graph.to_items.degrees, exponent)
    )
