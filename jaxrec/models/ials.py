"""iALS: matrix factorisation of all pairs by alternating least squares."""

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import LeastSquares
from jaxrec.models.least_squares import Ridge, batches, half_step
from jaxrec.models.matrix import Track


def fit(
    matrix: sparse.csr_array,
    *,
    dim: int,
    iterations: int,
    unobserved_weight: float,
    l2: float,
    l2_exponent: float,
    init_stddev: float,
    seed: int,
    track: Track,
) -> Factors:
    """Scores by <w_u, h_i>, which by turns minimise

        sum over entries of x_ui (<w_u, h_i> - 1)^2 + unobserved_weight * sum over all pairs of
        <w_u, h_i>^2 + sum over u of l2_u |w_u|^2 + sum over i of l2_i |h_i|^2, with `Ridge.row_l2`.

    Hu et al. 2008 (https://doi.org/10.1109/ICDM.2008.22) in the form of Rendle et al. 2021,
    "Revisiting the Performance of iALS" (https://arxiv.org/abs/2110.14037).

    Args:
      matrix: [num_users, num_items]; an entry is the weight of its pair.
      dim: length of an embedding.
      iterations: times that both sides are solved for.
      unobserved_weight: above 0.
      l2: above 0.
      l2_exponent: nu, at least 0.
      init_stddev: the items' first embeddings have entries of standard deviation
        init_stddev / sqrt(dim).
      seed: of those.
      track: shows how far it is.
    """
    first = np.random.default_rng(seed).standard_normal((matrix.shape[1], dim))
    items = jnp.asarray(first * init_stddev / np.sqrt(dim), jnp.float32)
    users = jnp.zeros((matrix.shape[0], dim), jnp.float32)
    ridge = Ridge(unobserved_weight, l2, l2_exponent)
    of_users, of_items = (
        batches(side, dim=dim, l2=ridge.row_l2(side)) for side in (matrix, matrix.T.tocsr())
    )
    for _ in track(range(iterations), "alternating", "iterations"):
        users = half_step(of_users, users, items, unobserved_weight)
        items = half_step(of_items, items, users, unobserved_weight)
        users.block_until_ready()
    return Factors(np.asarray(users), np.asarray(items), LeastSquares(ridge))
