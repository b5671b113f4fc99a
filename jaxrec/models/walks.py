"""Walks: the items that other users of a user's items have listened to, by the graph alone.

An embedding of some dozen numbers keeps what many users share and blurs the rest; a walk of three
steps, user to item to user to item, knows each interaction. Beside a network's scores they rank
better than either. Walks of five steps reach what everybody listens to: taking some of them off
leaves what is a user's own. Nothing is learnt by walks, so training does not know of them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import KERNELS, choose_kernel, prepared
from jaxrec.models.blend import Blend
from jaxrec.models.cut_walks import cut
from jaxrec.models.factors import Factors
from jaxrec.models.filters import Filter
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track


def walks(graph: BipartiteGraph, *, exponent: float, longer: float, kernel: str = "auto") -> Filter:
    """The scores of a user u and an item j by walks from u that end at j, with c and l:

        <a_u - l N N^T a_u, b_j> / (|a_u| |b|),
        a_u = N r_u,  b_j = D^-1/2 R_j d_j^-c,  N = D^-1/2 R D_i^-1/2,

    where r_u is the user's row of R and R_j the item's column, D and D_i the users' and the items'
    degrees, and |b| the root mean square of the lengths of all items' b_j. So the scores are of
    the same size for every user, whatever the data and c. With c = 1/2 this is a filter of the
    items' graph N^T N, whose eigenvalues s lie in [0, 1]: s - l s^2. With l = 0 it is GF-CF's
    linear one (Shen et al. 2021, https://arxiv.org/abs/2108.07567, eq. 13); l lowers the greatest
    s, as ChebyCF's plateau does (Kim et al. 2025, https://arxiv.org/abs/2505.00552).

    Args:
      graph: the normalised graph.
      exponent: c, of the degree of the item where a walk ends; the less, the more popular items.
      longer: l, how much of the walks of five steps is taken off, >= 0.
      kernel: a name in `message_passing.KERNELS`, or `auto`.
    """
    chosen = choose_kernel(kernel, jax.default_backend())
    graph = prepared(graph, chosen)
    items = graph.to_items
    # An edge's weight is R_uj (d_u d_j)^-1/2; an item's sum of their squares, |b_j|^2 d_j^(2c-1).
    squares = KERNELS[chosen](
        dataclasses.replace(items, weights=jnp.square(items.weights)),
        jnp.ones((graph.num_users, 1), jnp.float32),
        "float32",
    )
    degrees = np.asarray(items.degrees)
    with np.errstate(over="ignore", invalid="ignore"):  # whoever ranks tells of it, in words
        ends = np.where(degrees > 0, degrees, 1.0).astype(np.float32) ** np.float32(0.5 - exponent)
        length = root_mean_square(np.sqrt(np.asarray(squares[:, 0])) * ends, degrees > 0)
        ends = ends / length
    return Filter(graph, ends, longer=longer, unit_length=True, kernel=kernel)


def root_mean_square(lengths: np.ndarray, where: np.ndarray) -> np.float32:
    """Of some of the lengths: [] float32."""
    return np.sqrt(np.mean(np.square(lengths[where]), dtype=np.float32))


def beside_walks(
    factors: Factors, filtered: Filter | ItemWeights, weight: float, known: np.ndarray
) -> Blend:
    """Scores of factors with walks added: <e_u, e_j> / (|e_u| |e|) + w <a_u, b_j> / (|a_u| |b|).

    |e| is the root mean square of the lengths of all known items' e_j: so both parts are of the
    same size whatever the loss and the data.

    Args:
      factors: e.
      filtered: the walks, cut or not.
      weight: w, how much the walks count.
      known: [num_items] bool, the items that train knows.
    """
    return Blend((unit_factors(factors, known), filtered), (1.0, weight), known=None)


def unit_factors(factors: Factors, known: np.ndarray) -> Factors:
    """The factors at the scale of walks: <e_u, e_j> / (|e_u| |e|), |e| as of `beside_walks`."""
    length = root_mean_square(np.linalg.norm(factors.item, axis=1), known)
    return dataclasses.replace(factors, item=factors.item / length, unit_users=True)


def fit(
    matrix: sparse.csr_array,
    *,
    exponent: float,
    longer: float,
    ends: int,
    seed: int,
    track: Track,
) -> Filter | ItemWeights:
    """Walks alone, as a method of its own.

    Args:
      matrix: R, [num_users, num_items].
      exponent: c, as of `walks`.
      longer: l, as of `walks`.
      ends: how many are kept of each item; 0 for all, by walking through the graph.
      seed: not used.
      track: shows how far it is.
    """
    del seed
    filtered = walks(graph_of(matrix), exponent=exponent, longer=longer)
    return cut(filtered, ends, track) if ends else filtered


def graph_of(matrix: sparse.csr_array) -> BipartiteGraph:
    """The normalised graph of a matrix of interactions."""
    num_users, num_items = matrix.shape
    return build_graph(
        np.repeat(np.arange(num_users), np.diff(matrix.indptr)),
        matrix.indices,
        matrix.data,
        num_users=num_users,
        num_items=num_items,
    )
