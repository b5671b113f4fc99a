"""Propagation is the dense matrix polynomial it claims to be, with every kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.message_passing import Sums, segment_sum
from jaxrec.gcn.propagation import propagate
from tests.embeddings import random_embeddings, stacked
from tests.graphs import dense_normalised, graph_from_dense
from tests.kernels import KERNELS

run = jax.jit(propagate, static_argnums=(2, 3))


def inner(a: Embeddings, b: Embeddings) -> jax.Array:
    return jnp.vdot(a.user, b.user) + jnp.vdot(a.item, b.item)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_propagation_equals_the_dense_matrix_product(
    ratings: np.ndarray, kernel: str, num_layers: int
) -> None:
    embeddings = random_embeddings(*ratings.shape)
    matrix = dense_normalised(ratings)
    user, item = (np.asarray(part, np.float64) for part in (embeddings.user, embeddings.item))
    layers = [np.concatenate([user, item])]
    for _ in range(num_layers):
        user, item = matrix @ item, matrix.T @ user
        layers.append(np.concatenate([user, item]))
    expected = np.mean(layers, axis=0)
    result = run(graph_from_dense(ratings, kernel), embeddings, num_layers, Sums(kernel))
    np.testing.assert_allclose(stacked(result), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_equals_the_references(ratings: np.ndarray, kernel: str) -> None:
    """The custom derivative against JAX's own, through a plain sum over layers."""
    graph = graph_from_dense(ratings, kernel)
    embeddings = random_embeddings(*ratings.shape)
    probe = random_embeddings(*ratings.shape, seed=2)

    def plain(e: Embeddings) -> jax.Array:
        layer, total = e, e
        for _ in range(2):
            layer = Embeddings(
                user=segment_sum(graph.to_users, layer.item),
                item=segment_sum(graph.to_items, layer.user),
            )
            total = jax.tree.map(jnp.add, total, layer)
        return inner(total, probe) / 3

    def custom(e: Embeddings) -> jax.Array:
        return inner(propagate(graph, e, 2, Sums(kernel)), probe)

    np.testing.assert_allclose(
        stacked(jax.jit(jax.grad(custom))(embeddings)),
        stacked(jax.jit(jax.grad(plain))(embeddings)),
        rtol=2e-5,
        atol=2e-6,
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_matches_finite_differences(kernel: str) -> None:
    ratings = (np.random.default_rng(3).random((6, 8)) < 0.5) * 1.0
    graph = graph_from_dense(ratings, kernel)
    check_grads(
        jax.jit(lambda e: jnp.tanh(propagate(graph, e, 3, Sums(kernel)).user)),
        (random_embeddings(6, 8),),
        order=1,
        modes=["rev"],
        atol=1e-2,
        rtol=1e-2,
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_relabelling_the_nodes_commutes_with_propagation(kernel: str) -> None:
    rng = np.random.default_rng(4)
    ratings = (rng.random((12, 9)) < 0.4) * rng.uniform(0.5, 2.0, (12, 9))
    embeddings = random_embeddings(12, 9)
    users, items = rng.permutation(12), rng.permutation(9)

    def relabel(e: Embeddings) -> Embeddings:
        return Embeddings(user=e.user[users], item=e.item[items])

    graph, other = (graph_from_dense(of, kernel) for of in (ratings, ratings[users][:, items]))
    first = relabel(run(graph, embeddings, 3, Sums(kernel)))
    last = run(other, relabel(embeddings), 3, Sums(kernel))
    np.testing.assert_allclose(stacked(first), stacked(last), rtol=1e-5, atol=1e-6)
