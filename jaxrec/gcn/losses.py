"""Losses over a batch of items that users know and sampled ones. Pure functions of scores.

A loss for batches of edges is a function like `bpr`, one for batches of users a function of
`UserScores` like a `Softmax`; both are hashable, so that they can be static under jit.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


def bpr(
    positive_scores: jax.Array, negative_scores: jax.Array, *, row_weights: jax.Array
) -> jax.Array:
    """Bayesian personalised ranking: the mean of -log sigmoid(s(u, i) - s(u, j)).

    Rendle et al. 2009, https://arxiv.org/abs/1205.2618. Computed as softplus(s(u, j) - s(u, i)),
    which neither overflows nor loses the small values.

    Args:
      positive_scores: [batch] float32, s(u, i) of the known items.
      negative_scores: [batch, num_negatives] float32, s(u, j) of the sampled items.
      row_weights: [batch] float32, 0 for padding; the mean is over the weights.

    Returns:
      [] float32; 0 where all weights are 0.
    """
    rows = jnp.mean(jax.nn.softplus(negative_scores - positive_scores[:, None]), axis=-1)
    return weighted_mean(rows, row_weights)


class UserScores(NamedTuple):
    """Scores of a batch of users: of each of their edges, and with negatives they share.

    Attributes:
      positive: [num_edges] float32, s(u, i) of the edges.
      negative: [num_rows, num_negatives] float32, s(u, j) of every user with every negative.
      log_weights: [num_rows, num_negatives] or broadcast to it, log q_j; -inf leaves it out.
      row: [num_edges] int32, each edge's row of `negative`; never falls.
      is_edge: [num_edges] bool, False for padding.
    """

    positive: jax.Array
    negative: jax.Array
    log_weights: jax.Array
    row: jax.Array
    is_edge: jax.Array


@dataclasses.dataclass(frozen=True)
class Softmax:
    """Sampled softmax over negatives that the users of a batch share: the mean over edges of

        -s(u, i) / t + w log sum_j q_j exp(s(u, j) / t).

    With w = 1 it is the softmax loss of Wu et al. 2022, https://arxiv.org/abs/2201.02327; with
    w = t / t_negative, BSL for one positive a term (Wu et al. 2023,
    https://arxiv.org/abs/2312.12882, eq. 18), where w < 1 makes the positives' part sharper. The
    positive itself is not in the sum, as in both authors' code. The sum is shared by all of a
    user's edges, so that it costs a row of scores for each user, not for each edge.

    Attributes:
      temperature: t, > 0.
      negative_weight: w.
    """

    temperature: float
    negative_weight: float = 1.0

    def __call__(self, scores: UserScores) -> jax.Array:
        """The mean over edges.

        Args:
          scores: cosines.

        Returns:
          [] float32. A user for whom every negative is left out counts for nothing.
        """
        return weighted_mean(*self.of_edges(scores))

    def of_edges(self, scores: UserScores) -> tuple[jax.Array, jax.Array]:
        """Each edge's loss and its weight in the mean, both [num_edges] float32."""
        logits = scores.negative / self.temperature + scores.log_weights
        any_left = jnp.isfinite(jnp.max(logits, axis=-1))
        # Replaced within, too, since the derivative of an empty sum is not a number.
        log_sum = jax.nn.logsumexp(jnp.where(any_left[:, None], logits, 0.0), axis=-1)
        losses = self.negative_weight * log_sum[scores.row] - scores.positive / self.temperature
        return losses, (scores.is_edge & any_left[scores.row]).astype(jnp.float32)


def l2(*embeddings: jax.Array, row_weights: jax.Array) -> jax.Array:
    """Half the squared length of the embeddings a row uses, averaged over rows.

    LightGCN puts it on layer 0 only (He et al. 2020, eq. 15).

    Args:
      *embeddings: each [batch, dim] or [batch, num_negatives, dim] float32; the negatives'
        squares are averaged, so that more of them don't shrink the others more.
      row_weights: [batch] float32, 0 for padding.

    Returns:
      [] float32.
    """
    squares = [jnp.sum(jnp.square(part), axis=-1) for part in embeddings]
    rows = jnp.stack([part.reshape(len(part), -1).mean(axis=-1) for part in squares]).sum(axis=0)
    return 0.5 * weighted_mean(rows, row_weights)


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """sum(w v) / sum(w), and 0 where no weight is left. A row of weight 0 can't bring in a NaN.

    Args:
      values: [n] float32.
      weights: [n] float32, >= 0.
    """
    total = jnp.sum(jnp.where(weights > 0, weights * values, 0.0))
    return total / jnp.maximum(jnp.sum(weights), jnp.finfo(jnp.float32).tiny)
