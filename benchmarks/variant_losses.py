"""Samplers and losses of the literature that jaxrec does without, as plug-ins of an objective."""

import math

import jax
import jax.numpy as jnp

from jaxrec.gcn import losses, negatives
from jaxrec.gcn.batches import BatchInteractions
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.losses import UserScores
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.gcn.user_objective import UserLoss

# Samplers for batches of users: items [m], and [n, m] the logarithms of what they weigh.
Drawn = tuple[jax.Array, jax.Array]


def in_batch(key: jax.Array, data: TrainingGraph, batch: BatchInteractions, count: int) -> Drawn:
    """Items of the batch's own edges."""
    edges = negatives.uniform_below(key, jnp.maximum(batch.is_edge.sum(), 1), (count,))
    return negatives.weigh_draws(batch.item[edges], batch, num_items=data.graph.num_items)


def in_batch_corrected(
    key: jax.Array, data: TrainingGraph, batch: BatchInteractions, count: int
) -> Drawn:
    """`in_batch`, where an item counts inversely to how likely it was drawn (logQ)."""
    items, log_weights = in_batch(key, data, batch, count)
    share = jnp.diff(data.graph.to_items.offsets) / data.graph.num_edges
    return items, log_weights - jnp.log(data.graph.num_items * share[items])


def known_too(key: jax.Array, data: TrainingGraph, batch: BatchInteractions, count: int) -> Drawn:
    """Shared negatives, where what a user knows is not left out."""
    items = negatives.draw_items(key, data, count)
    _, drawn = negatives.count_once(items, num_items=data.graph.num_items)
    return items, negatives.log_shares(drawn)[None]


# Losses of scores.


def hardest(positive: jax.Array, negative: jax.Array, *, row_weights: jax.Array) -> jax.Array:
    """BPR against the candidate that scores best (DNS)."""
    return losses.bpr(positive, negative.max(axis=1, keepdims=True), row_weights=row_weights)


def cosine_contrast(margin: float, negative_weight: float) -> UserLoss:
    """SimpleX's: cosines of negatives below the margin cost nothing."""

    def loss(scores: UserScores) -> jax.Array:
        above = jnp.maximum(scores.negative - margin, 0.0) * jnp.exp(scores.log_weights)
        cost = negative_weight * above.sum(axis=1)[scores.row] + 1 - scores.positive
        return losses.weighted_mean(cost, scores.is_edge.astype(jnp.float32))

    return loss


def weighed_by_activity(base: losses.Softmax, exponent: float) -> UserLoss:
    """Softmax, where an edge counts as (how many its user has)^-exponent."""

    def loss(scores: UserScores) -> jax.Array:
        cost, weights = base.of_edges(scores)
        edges = jnp.maximum(_edges_of_users(scores), 1)[scores.row]
        return losses.weighted_mean(cost, weights * edges**-exponent)

    return loss


def softmax_at_k(base: losses.Softmax, *, k: int = 20, temperature: float = 0.2) -> UserLoss:
    """SL@K: softmax, where an edge counts by how far above the user's K-th best score it is."""
    looked_at = 64  # edges of a user

    def loss(scores: UserScores) -> jax.Array:
        positive, negative = jax.lax.stop_gradient((scores.positive, scores.negative))
        edges = _edges_of_users(scores)
        first = (jnp.cumsum(edges) - edges).astype(jnp.int32)
        place = jnp.where(scores.is_edge, jnp.arange(len(positive)) - first[scores.row], looked_at)
        own = jnp.full((len(edges), looked_at), -jnp.inf)
        own = own.at[scores.row, place].set(positive, mode="drop")
        best = jnp.concatenate([own, jax.lax.top_k(negative, k)[0]], axis=1)
        threshold = jax.lax.top_k(best, k)[0][:, -1]
        cost, weights = base.of_edges(scores)
        weights *= jax.nn.sigmoid((positive - threshold[scores.row]) / temperature)
        return losses.weighted_mean(cost, weights)

    return loss


def adaptive_temperature(graph: BipartiteGraph, negative_weight: float) -> UserLoss:
    """Adap-tau's: a temperature for each user, from the batch instead of the epoch before."""
    everything = math.log(0.5 * graph.num_users * graph.num_items / graph.num_edges)

    def loss(scores: UserScores) -> jax.Array:
        row, is_edge = scores.row, scores.is_edge.astype(jnp.float32)
        positive, negative = jax.lax.stop_gradient((scores.positive, scores.negative))
        distance = losses.weighted_mean(positive, is_edge) - negative.mean()
        common = everything / jnp.maximum(distance, 0.1)  # an inverse temperature
        edges = _edges_of_users(scores)
        own = jnp.zeros_like(edges).at[row].add(is_edge * positive)
        each = jax.nn.logsumexp(negative + scores.log_weights, axis=1) - own / jnp.maximum(edges, 1)
        inverse = common * jnp.exp(-lambert_w(jnp.maximum(each - each.mean(), -math.exp(-1))))
        log_sum = jax.nn.logsumexp(scores.negative * inverse[:, None] + scores.log_weights, axis=1)
        cost = negative_weight * log_sum[row] - scores.positive * common
        return losses.weighted_mean(cost, is_edge)

    return loss


def lambert_w(x: jax.Array) -> jax.Array:
    """The principal branch of w e^w = x for x >= -1/e, by Halley's rule."""
    w = jnp.where(x > 1, jnp.log(jnp.maximum(x, 1e-6)), jnp.sqrt(2 * (1 + math.e * x)) - 1)
    w = jnp.maximum(w, -0.999)
    for _ in range(12):
        grown = jnp.exp(w)
        off = w * grown - x
        w -= off / (grown * (w + 1) - (w + 2) * off / (2 * w + 2))
        w = jnp.maximum(w, -0.999)
    return w


def _edges_of_users(scores: UserScores) -> jax.Array:
    return jnp.zeros(len(scores.negative)).at[scores.row].add(scores.is_edge.astype(jnp.float32))
