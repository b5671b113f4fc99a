"""What a training step lowers: a loss over a batch, with the batches it takes and its negatives.

An objective is put together of functions: a convolution, a sampler of negatives, a loss of scores.
Here is the one over batches of edges; `user_objective` has the one over batches of users.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol, Self

import jax
import jax.numpy as jnp

from jaxrec.gcn import losses, negatives
from jaxrec.gcn.batches import Batches, EdgeBatches
from jaxrec.gcn.convolution import Convolution
from jaxrec.gcn.edges import GraphSize
from jaxrec.gcn.embeddings import Embeddings, Masks, scores
from jaxrec.gcn.graph import BipartiteGraph, edge_endpoints
from jaxrec.gcn.shares import marked, with_rows
from jaxrec.gcn.sharing import Sharing, bytes_on_each
from jaxrec.gcn.training_graph import TrainingGraph

EdgeSampler = Callable[[jax.Array, TrainingGraph, jax.Array, int], tuple[jax.Array, jax.Array]]


class EdgeLoss(Protocol):
    """A loss of scores such as `losses.bpr`."""

    def __call__(
        self, positive_scores: jax.Array, negative_scores: jax.Array, *, row_weights: jax.Array
    ) -> jax.Array:
        """[] float32 of [n], [n, num_negatives] and [n] float32, the weights 0 for padding."""


class Objective(Protocol):
    """What a step lowers; hashable, so that it can be static under jit."""

    @property
    def convolution(self) -> Convolution:
        """How the final embeddings are made of the parameters."""

    def with_batches(self, graph: GraphSize, batch_size: int) -> tuple[Self, Batches]:
        """The batches that it takes, of about so many edges each, and itself made for them."""

    def __call__(
        self, params: Embeddings, data: TrainingGraph, batch: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The loss over a batch, against freshly sampled negatives.

        Args:
          params: layer-0 embeddings.
          data: the training graph.
          batch: one of the batches from `with_batches`: [n] int32, -1 for padding.
          key: the step's `jax.random` key.

        Returns:
          [] float32.
        """

    def batch_bytes(
        self, *, num_users: int, num_edges: int, dim: int, batch_size: int, devices: int = 1
    ) -> float:
        """How much memory a step takes on each device beside parameters, graph and convolution.

        In bytes, about.
        """


@dataclasses.dataclass(frozen=True)
class EdgeObjective:
    """A loss plus L2 over batches of edges, each with negatives of its own.

    Attributes:
      convolution: how the final embeddings are made of the parameters.
      num_negatives: sampled items per edge.
      l2: weight of the squared layer-0 embeddings.
      loss: of scores; the mean over the edges by their weights.
      sampler: of negatives.
      sharing: how devices share the loss; None where each has that of the whole batch.
    """

    convolution: Convolution
    num_negatives: int
    l2: float
    loss: EdgeLoss = losses.bpr
    sampler: EdgeSampler = negatives.sample_negatives
    sharing: Sharing | None = None

    def with_batches(self, graph: GraphSize, batch_size: int) -> tuple[Self, Batches]:
        """Batches of edges."""
        return self, EdgeBatches(graph.num_edges, min(batch_size, graph.num_edges))

    def __call__(
        self, params: Embeddings, data: TrainingGraph, batch: jax.Array, key: jax.Array
    ) -> jax.Array:
        """As `Objective` says."""
        graph = data.graph
        users, items = edge_endpoints(graph, jnp.maximum(batch, 0))
        others, has_negative = self.sampler(key, data, users, self.num_negatives)
        row_weights = ((batch >= 0) & has_negative).astype(jnp.float32)
        if self.sharing is not None:
            edges = (users, items, others, row_weights)
            return self._shared(self.sharing, params, graph, *self.sharing.filled(edges))

        every = jnp.concatenate([others.reshape(-1), items])

        def rows_of(tables: Embeddings) -> tuple[Embeddings, list[jax.Array]]:
            user, user_rows = with_rows(tables.user, users, graph.user_places)
            item, item_rows = with_rows(tables.item, every, graph.item_places)
            drawn, known = jnp.split(item_rows, [others.size])
            rows = [user_rows, known, drawn.reshape(*others.shape, -1)]
            return dataclasses.replace(tables, user=user, item=item), rows

        params, first_rows = rows_of(params)
        read = Masks(
            user=marked(graph.to_users.num_rows, graph.user_places, users),
            item=marked(graph.to_items.num_rows, graph.item_places, every),
        )
        _, (user_rows, known, drawn) = rows_of(self.convolution(graph, params, read))
        ranking = self.loss(
            scores(user_rows, known), scores(user_rows[:, None], drawn), row_weights=row_weights
        )
        return ranking + self.l2 * losses.l2(*first_rows, row_weights=row_weights)

    def _shared(
        self,
        sharing: Sharing,
        params: Embeddings,
        graph: BipartiteGraph,
        users: jax.Array,
        items: jax.Array,
        others: jax.Array,
        row_weights: jax.Array,
    ) -> jax.Array:
        """The same loss, of which this device computes that of its part of the edges."""
        every = jnp.concatenate([items[:, None], others], axis=1)
        read = Masks(
            user=marked(graph.to_users.num_rows, graph.user_places, users),
            item=marked(graph.to_items.num_rows, graph.item_places, every),
        )
        final = self.convolution(graph, params, read)
        weights = row_weights / jnp.maximum(jnp.sum(row_weights), 1.0)
        own_users, own_items, own_weights = sharing.own((users, every, weights))
        _, user_rows = sharing.with_rows(final.user, own_users, graph.user_places)
        _, item_rows = sharing.with_rows(final.item, own_items, graph.item_places)
        mean = self.loss(
            scores(user_rows, item_rows[:, 0]),
            scores(user_rows[:, None], item_rows[:, 1:]),
            row_weights=own_weights,
        )
        loss = mean * jnp.sum(own_weights)
        if self.l2:
            negatives_weights = jnp.broadcast_to(weights[:, None] / others.shape[1], others.shape)
            of_items = jnp.concatenate([weights[:, None], negatives_weights], axis=1)
            loss += self.l2 * (
                sharing.half_squares(params.user, users, graph.user_places, weights)
                + sharing.half_squares(params.item, every, graph.item_places, of_items)
            )
        return sharing.total(loss)

    def batch_bytes(
        self, *, num_users: int, num_edges: int, dim: int, batch_size: int, devices: int = 1
    ) -> float:
        """As `Objective` says."""
        whole = 4 * dim * batch_size * (3.4 + 4.4 * self.num_negatives)
        read = 4 * dim * batch_size * (2 + self.num_negatives)
        return bytes_on_each(whole, read, dim=dim, devices=devices, sharing=self.sharing)
