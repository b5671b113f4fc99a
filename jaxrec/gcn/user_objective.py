"""What a training step lowers over batches of users, each with all their edges."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp

from jaxrec.gcn import losses, negatives
from jaxrec.gcn.batches import (
    Batches,
    BatchInteractions,
    UserBatches,
    interactions_of,
    parted,
)
from jaxrec.gcn.convolution import Convolution
from jaxrec.gcn.edges import GraphSize
from jaxrec.gcn.embeddings import Embeddings, scores, unit
from jaxrec.gcn.shares import with_rows
from jaxrec.gcn.sharing import Sharing, bytes_on_each
from jaxrec.gcn.training_graph import TrainingGraph

UserSampler = Callable[
    [jax.Array, TrainingGraph, BatchInteractions, int], tuple[jax.Array, jax.Array]
]
UserLoss = Callable[[losses.UserScores], jax.Array]


@dataclasses.dataclass(frozen=True)
class UserObjective:
    """A loss of cosines plus L2 over batches of users, with negatives that all of them share.

    Attributes:
      convolution: how the final embeddings are made of the parameters.
      num_negatives: sampled items per batch.
      l2: weight of the squared layer-0 embeddings.
      loss: of cosines; the mean over the edges, those left out whose user has no negative.
      sampler: of negatives. Of devices that share the loss each calls it with its own part of the
        batch, and all must draw the same items.
      sharing: how devices share the loss; None where each has that of the whole batch.
      max_edges: the most edges that a batch of users has, or a device's part of it; `with_batches`
        sets it.
    """

    convolution: Convolution
    num_negatives: int
    l2: float
    loss: UserLoss
    sampler: UserSampler = negatives.shared_negatives
    sharing: Sharing | None = None
    max_edges: int = 0

    def with_batches(self, graph: GraphSize, batch_size: int) -> tuple[Self, Batches]:
        """Batches of users with all their edges."""
        batches = UserBatches.of(graph, batch_size=batch_size)
        parts = 1 if self.sharing is None else self.sharing.devices
        return dataclasses.replace(self, max_edges=batches.max_edges(parts)), batches

    def __call__(
        self, params: Embeddings, data: TrainingGraph, batch: jax.Array, key: jax.Array
    ) -> jax.Array:
        """As `Objective` says."""
        graph = data.graph
        if self.sharing is not None:
            return self._shared(self.sharing, params, data, batch, key)
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
        _, rows = with_rows(final.item, every, graph.item_places)
        drawn, heard = jnp.split(rows, [len(others)])
        ranking = self.loss(_cosines(known, final.user, heard, drawn, log_weights))
        return ranking + self.l2 * size if self.l2 else ranking

    def _shared(
        self,
        sharing: Sharing,
        params: Embeddings,
        data: TrainingGraph,
        batch: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        """The same loss, of which this device computes that of its part of the users."""
        graph = data.graph
        edges_of = functools.partial(interactions_of, graph, max_edges=self.max_edges)
        every = jax.vmap(edges_of)(parted(batch, sharing.devices))  # asked for by all alike
        known = jax.tree.map(lambda part: part[0], sharing.own(every))
        others, log_weights = self.sampler(key, data, known, self.num_negatives)

        final = self.convolution.of_users(graph, params, known, sharing.with_rows)
        _, heard = sharing.with_rows(final.item, known.item, graph.item_places)
        drawn = sharing.rows_for_all(final.item, others, graph.item_places)
        any_left = jnp.any(log_weights > -jnp.inf, axis=-1)
        edges = jnp.sum(known.is_edge & any_left[known.row]).astype(jnp.float32)
        mean = self.loss(_cosines(known, final.user, heard, drawn, log_weights))
        loss = mean * edges / jnp.maximum(sharing.total(edges), 1.0)
        if self.l2:
            weights = every.is_edge / jnp.maximum(jnp.sum(every.is_edge), 1)
            users = jnp.take_along_axis(every.user, every.row, axis=1)
            loss += self.l2 * (
                sharing.half_squares(params.user, users, graph.user_places, weights)
                + sharing.half_squares(params.item, every.item, graph.item_places, weights)
            )
        return sharing.total(loss)

    def batch_bytes(
        self, *, num_users: int, num_edges: int, dim: int, batch_size: int, devices: int = 1
    ) -> float:
        """As `Objective` says."""
        users = num_users * batch_size / num_edges
        whole = 4 * (3.1 * dim * batch_size + 2.2 * users * self.num_negatives)
        return bytes_on_each(
            whole, 2.5 * 4 * dim * batch_size, dim=dim, devices=devices, sharing=self.sharing
        )


def _cosines(
    known: BatchInteractions,
    users: jax.Array,
    heard: jax.Array,
    drawn: jax.Array,
    log_weights: jax.Array,
) -> losses.UserScores:
    """Scores of rows of users [n, dim], of their edges' items and of their negatives [m, dim]."""
    user_rows = unit(users)
    return losses.UserScores(
        positive=scores(user_rows[known.row], unit(heard)),
        # Else a GPU multiplies with 10 bits of 23, and the loss is off by a thousandth.
        negative=jnp.matmul(user_rows, unit(drawn).T, precision=jax.lax.Precision.HIGHEST),
        log_weights=log_weights,
        row=known.row,
        is_edge=known.is_edge,
    )
