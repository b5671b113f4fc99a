"""What a training step lowers: a loss over a batch, with the batches it takes and its negatives.

An objective is put together of functions: a convolution, a sampler of negatives, a loss of scores.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol, Self

import jax
import jax.numpy as jnp

from jaxrec.gcn import losses, negatives
from jaxrec.gcn.batches import (
    Batches,
    BatchInteractions,
    EdgeBatches,
    UserBatches,
    interactions_of,
)
from jaxrec.gcn.convolution import Convolution
from jaxrec.gcn.embeddings import Embeddings, Masks, scores, unit
from jaxrec.gcn.graph import BipartiteGraph, edge_endpoints
from jaxrec.gcn.shares import marked, take, with_rows
from jaxrec.gcn.training_graph import TrainingGraph

EdgeSampler = Callable[[jax.Array, TrainingGraph, jax.Array, int], tuple[jax.Array, jax.Array]]
UserSampler = Callable[
    [jax.Array, TrainingGraph, BatchInteractions, int], tuple[jax.Array, jax.Array]
]
UserLoss = Callable[[losses.UserScores], jax.Array]


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

    def with_batches(self, graph: BipartiteGraph, batch_size: int) -> tuple[Self, Batches]:
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

    def batch_bytes(self, *, num_users: int, num_edges: int, dim: int, batch_size: int) -> float:
        """About how much memory a step takes beside parameters, graph and convolution, in bytes."""


@dataclasses.dataclass(frozen=True)
class EdgeObjective:
    """A loss plus L2 over batches of edges, each with negatives of its own.

    Attributes:
      convolution: how the final embeddings are made of the parameters.
      num_negatives: sampled items per edge.
      l2: weight of the squared layer-0 embeddings.
      loss: of scores.
      sampler: of negatives.
    """

    convolution: Convolution
    num_negatives: int
    l2: float
    loss: EdgeLoss = losses.bpr
    sampler: EdgeSampler = negatives.sample_negatives

    def with_batches(self, graph: BipartiteGraph, batch_size: int) -> tuple[Self, Batches]:
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

    def batch_bytes(self, *, num_users: int, num_edges: int, dim: int, batch_size: int) -> float:
        """As `Objective` says."""
        return 4 * dim * batch_size * (3.4 + 4.4 * self.num_negatives)


@dataclasses.dataclass(frozen=True)
class UserObjective:
    """A loss of cosines plus L2 over batches of users, with negatives that all of them share.

    Attributes:
      convolution: how the final embeddings are made of the parameters.
      num_negatives: sampled items per batch.
      l2: weight of the squared layer-0 embeddings.
      loss: of cosines.
      sampler: of negatives.
      max_edges: the most edges that a batch of users has; `with_batches` sets it.
    """

    convolution: Convolution
    num_negatives: int
    l2: float
    loss: UserLoss
    sampler: UserSampler = negatives.shared_negatives
    max_edges: int = 0

    def with_batches(self, graph: BipartiteGraph, batch_size: int) -> tuple[Self, Batches]:
        """Batches of users with all their edges."""
        batches = UserBatches.of(graph.to_users, batch_size=batch_size)
        return dataclasses.replace(self, max_edges=batches.max_edges), batches

    def __call__(
        self, params: Embeddings, data: TrainingGraph, batch: jax.Array, key: jax.Array
    ) -> jax.Array:
        """As `Objective` says."""
        graph = data.graph
        known = interactions_of(graph, batch, max_edges=self.max_edges)
        others, log_weights = self.sampler(key, data, known, self.num_negatives)

        size = jnp.float32(0)
        if self.l2:  # gathers of layer 0 are not free
            user, user_rows = with_rows(params.user, known.user, graph.user_places)
            item, item_rows = with_rows(params.item, known.item, graph.item_places)
            params = dataclasses.replace(params, user=user, item=item)
            edges = known.is_edge.astype(jnp.float32)
            size = losses.l2(user_rows[known.row], item_rows, row_weights=edges)
        final = self.convolution.of_users(graph, params, known)
        every = jnp.concatenate([others, known.item])
        drawn, heard = jnp.split(take(final.item, every, graph.item_places), [len(others)])
        user_rows = unit(final.user)
        ranking = self.loss(
            losses.UserScores(
                positive=scores(user_rows[known.row], unit(heard)),
                # Else a GPU multiplies with 10 bits of 23, and the loss is off by a thousandth.
                negative=jnp.matmul(user_rows, unit(drawn).T, precision=jax.lax.Precision.HIGHEST),
                log_weights=log_weights,
                row=known.row,
                is_edge=known.is_edge,
            )
        )
        return ranking + self.l2 * size if self.l2 else ranking

    def batch_bytes(self, *, num_users: int, num_edges: int, dim: int, batch_size: int) -> float:
        """As `Objective` says."""
        users = num_users * batch_size / num_edges
        return 4 * (3.1 * dim * batch_size + 2.2 * users * self.num_negatives)
