"""Propagation is the dense matrix polynomial it claims to be, with every kernel."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrec.gcn import message_passing
from jaxrec.gcn.batches import listens_of
from jaxrec.gcn.model import Convolution, Embeddings, init_params, propagate, scores
from tests.graphs import dense_normalised, graph_from_dense
from tests.kernels import KERNELS

convolve = jax.jit(Convolution.__call__, static_argnums=0)


def random_embeddings(num_users: int, num_items: int, dim: int = 5, seed: int = 5) -> Embeddings:
    random = np.random.default_rng(seed)
    user, item = (
        random.standard_normal((size, dim), np.float32) for size in (num_users, num_items)
    )
    return Embeddings(user=jnp.asarray(user), item=jnp.asarray(item))


def stacked(embeddings: Embeddings) -> np.ndarray:
    return np.concatenate([embeddings.user, embeddings.item])


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
    result = jax.jit(propagate, static_argnums=(2, 3))(
        graph_from_dense(ratings), embeddings, num_layers, kernel
    )
    np.testing.assert_allclose(stacked(result), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_equals_the_references(ratings: np.ndarray, kernel: str) -> None:
    """The custom derivative against JAX's own, through a plain sum over layers."""
    graph = graph_from_dense(ratings)
    embeddings = random_embeddings(*ratings.shape)
    probe = random_embeddings(*ratings.shape, seed=2)

    def plain(e: Embeddings) -> jax.Array:
        layer, total = e, e
        for _ in range(2):
            layer = Embeddings(
                user=message_passing.segment_sum(graph.to_users, layer.item),
                item=message_passing.segment_sum(graph.to_items, layer.user),
            )
            total = jax.tree.map(jnp.add, total, layer)
        return inner(total, probe) / 3

    def custom(e: Embeddings) -> jax.Array:
        return inner(propagate(graph, e, 2, kernel), probe)

    np.testing.assert_allclose(
        stacked(jax.jit(jax.grad(custom))(embeddings)),
        stacked(jax.jit(jax.grad(plain))(embeddings)),
        rtol=2e-5,
        atol=2e-6,
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_matches_finite_differences(kernel: str) -> None:
    ratings = (np.random.default_rng(3).random((6, 8)) < 0.5) * 1.0
    graph = graph_from_dense(ratings)
    check_grads(
        jax.jit(lambda e: jnp.tanh(propagate(graph, e, 3, kernel).user)),
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

    run = jax.jit(propagate, static_argnums=(2, 3))
    first = relabel(run(graph_from_dense(ratings), embeddings, 3, kernel))
    last = run(graph_from_dense(ratings[users][:, items]), relabel(embeddings), 3, kernel)
    np.testing.assert_allclose(stacked(first), stacked(last), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bfloat16_rounds_the_gathered_embeddings_alone(kernel: str) -> None:
    ratings = (np.random.default_rng(5).random((9, 300)) < 0.9) * 1.0
    graph = graph_from_dense(ratings)
    exact = random_embeddings(9, 300)
    rounded = jax.tree.map(lambda e: e.astype(jnp.bfloat16).astype(jnp.float32), exact)
    neighbour_sum = jax.jit(message_passing.KERNELS[kernel], static_argnums=2)
    result = neighbour_sum(graph.to_users, exact.item, "bfloat16")
    expected = neighbour_sum(graph.to_users, rounded.item, "float32")
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)
    assert np.any(np.asarray(result) != neighbour_sum(graph.to_users, exact.item, "float32"))


def test_initial_embeddings_have_the_asked_deviation_and_mean_zero() -> None:
    params = init_params(jax.random.key(0), num_users=400, num_items=500, dim=64, stddev=0.1)
    assert params.user.shape == (400, 64)
    assert params.item.shape == (500, 64)
    values = stacked(params)
    assert abs(values.mean()) < 4 * 0.1 / np.sqrt(values.size)
    assert values.std() == pytest.approx(0.1, rel=0.01)


def test_scores_are_inner_products() -> None:
    users, items = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(scores(users, items), [17.0, 53.0])
    np.testing.assert_array_equal(scores(users[:, None], items[None]), [[17.0, 23.0], [39.0, 53.0]])


LIGHTGCN_PP = Convolution(
    num_layers=2,
    kernel="csr",
    receiver_exponent=0.6,
    sender_exponent=-0.1,
    unit_layers=True,
    layer_zero=0.3,
)


def embeddings_of(ratings: np.ndarray, dim: int = 3) -> Embeddings:
    return random_embeddings(*ratings.shape, dim=dim)


def test_convolution_with_the_defaults_is_light_graph_convolution(ratings: np.ndarray) -> None:
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    expected = jax.jit(propagate, static_argnums=(2, 3))(graph, embeddings, 3, "csr")
    plain = Convolution(num_layers=3, kernel="csr")
    # The same sum, written out by the road that the other settings take.
    written_out = dataclasses.replace(plain, layer_zero=0.25)
    # Rounding errors grow as the root of the number of terms, and with the terms, which may cancel.
    terms = propagate(graph, jax.tree.map(jnp.abs, embeddings), 3, "csr")
    longest = max(ratings.astype(bool).sum(axis=axis).max() for axis in (0, 1))
    bound = 4 * np.sqrt(longest) * np.finfo(np.float32).eps * stacked(terms)
    for convolution in (plain, written_out):
        found = convolve(convolution, graph, embeddings)
        assert np.all(np.abs(stacked(found) - stacked(expected)) <= bound)


def test_lightgcn_pp_equals_its_formula(ratings: np.ndarray) -> None:
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    degrees = [ratings.sum(axis=axis) for axis in (1, 0)]

    def power(values: np.ndarray, exponent: float) -> np.ndarray:
        return np.where(values > 0, values, 1.0)[:, None] ** exponent

    def unit(values: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return np.divide(values, length, out=np.zeros_like(values), where=length > 1e-9)

    user, item = (np.asarray(part, np.float64) for part in (embeddings.user, embeddings.item))
    first, sums = (user, item), [np.zeros_like(user), np.zeros_like(item)]
    for _ in range(2):
        user, item = unit(user), unit(item)
        user, item = (
            power(degrees[0], -0.6) * (ratings @ (power(degrees[1], 0.1) * item)),
            power(degrees[1], -0.6) * (ratings.T @ (power(degrees[0], 0.1) * user)),
        )
        sums[0] += user
        sums[1] += item
    found = convolve(LIGHTGCN_PP, graph, embeddings)
    for part, zero, rest in zip((found.user, found.item), first, sums, strict=True):
        np.testing.assert_allclose(part, 0.3 * zero + 0.35 * rest, rtol=2e-4, atol=2e-5)


def test_lightgcn_pp_gradient_matches_finite_differences() -> None:
    ratings = (np.random.default_rng(0).random((6, 7)) < 0.5) * 1.0
    graph = graph_from_dense(ratings)
    check_grads(
        jax.jit(lambda embeddings: LIGHTGCN_PP(graph, embeddings)),
        (embeddings_of(ratings),),
        order=1,
        modes=["rev"],
        rtol=0.05,
    )


def test_without_layers_the_convolution_is_the_identity() -> None:
    ratings = np.eye(3)
    embeddings = embeddings_of(ratings)
    none = dataclasses.replace(LIGHTGCN_PP, num_layers=0)
    assert none(graph_from_dense(ratings), embeddings) is embeddings


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "convolution",
    [
        Convolution(num_layers=0, kernel="csr"),
        Convolution(num_layers=1, kernel="csr"),
        Convolution(num_layers=3, kernel="segment_sum"),
        LIGHTGCN_PP,
        dataclasses.replace(LIGHTGCN_PP, num_layers=1),
    ],
)
def test_some_listeners_alone_have_the_rows_and_the_gradient_they_have_among_all(
    convolution: Convolution, weighted: bool, dtype: str
) -> None:
    rng = np.random.default_rng(6)
    ratings = (rng.random((9, 12)) < 0.4) * (rng.uniform(0.5, 2.0, (9, 12)) if weighted else 1.0)
    ratings[4] = 0  # has listened to nothing
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    convolution = dataclasses.replace(convolution, dtype=dtype)
    users = jnp.array([7, 4, 0, 2])
    listens = listens_of(graph.to_users, users, max_edges=40)
    probe = Embeddings(*(jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (4, 12)))

    def alone(e: Embeddings) -> Embeddings:
        return convolution.of_listeners(graph, e, users, listens)

    def among_all(e: Embeddings) -> Embeddings:
        final = convolution(graph, e)
        return Embeddings(user=final.user[users], item=final.item)

    # bfloat16 rounds what comes back through the sums over all edges, too.
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 0.02, "atol": 0.02}
    both = jax.jit(lambda e: [(f(e), jax.vjp(f, e)[1](probe)) for f in (alone, among_all)])
    for found, expected in zip(*map(jax.tree.leaves, both(embeddings)), strict=True):
        np.testing.assert_allclose(found, expected, **tolerance)
