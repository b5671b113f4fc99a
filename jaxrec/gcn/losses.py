"""Losses over a batch of listened songs and sampled ones. Pure functions of scores."""

import jax
import jax.numpy as jnp


def bpr(
    positive_scores: jax.Array, negative_scores: jax.Array, *, row_weights: jax.Array
) -> jax.Array:
    """Bayesian personalised ranking: the mean of -log sigmoid(s(u, i) - s(u, j)).

    Rendle et al. 2009, https://arxiv.org/abs/1205.2618. Computed as softplus(s(u, j) - s(u, i)),
    which neither overflows nor loses the small values.

    Args:
      positive_scores: [batch] float32, s(u, i) of the listened songs.
      negative_scores: [batch, num_negatives] float32, s(u, j) of the sampled songs.
      row_weights: [batch] float32, 0 for padding; the mean is over the weights.

    Returns:
      [] float32; 0 where all weights are 0.
    """
    rows = jnp.mean(jax.nn.softplus(negative_scores - positive_scores[:, None]), axis=-1)
    return weighted_mean(rows, row_weights)


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
