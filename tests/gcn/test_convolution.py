"""LightGCN and LightGCN++ are their formulas, for all nodes, for some users, and for a history."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrec.gcn.batches import interactions_of
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.propagation import propagate
from tests.embeddings import random_embeddings, stacked
from tests.graphs import graph_from_dense

CSR = Sums("csr")
convolve = jax.jit(LightGCN.__call__, static_argnums=0)


LIGHTGCN_PP = LightGCN(
    num_layers=2,
    sums=CSR,
    receiver_exponent=0.6,
    sender_exponent=-0.1,
    unit_layers=True,
    layer_zero=0.3,
)


def embeddings_of(ratings: np.ndarray, dim: int = 3) -> Embeddings:
    return random_embeddings(*ratings.shape, dim=dim)


def test_convolution_with_the_defaults_is_light_graph_convolution(ratings: np.ndarray) -> None:
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    expected = jax.jit(propagate, static_argnums=(2, 3))(graph, embeddings, 3, CSR)
    plain = LightGCN(3, CSR)
    # The same sum, written out by the road that the other settings take.
    written_out = dataclasses.replace(plain, layer_zero=0.25)
    # Rounding errors grow as the root of the number of terms, and with the terms, which may cancel.
    terms = propagate(graph, jax.tree.map(jnp.abs, embeddings), 3, CSR)
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
        LightGCN(0, CSR),
        LightGCN(1, CSR),
        LightGCN(3, Sums("segment_sum")),
        LIGHTGCN_PP,
        dataclasses.replace(LIGHTGCN_PP, num_layers=1),
    ],
)
def test_some_users_alone_have_the_rows_and_the_gradient_they_have_among_all(
    convolution: LightGCN, weighted: bool, dtype: str
) -> None:
    rng = np.random.default_rng(6)
    ratings = (rng.random((9, 12)) < 0.4) * (rng.uniform(0.5, 2.0, (9, 12)) if weighted else 1.0)
    ratings[4] = 0  # has listened to nothing
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    convolution = dataclasses.replace(
        convolution, sums=dataclasses.replace(convolution.sums, dtype=dtype)
    )
    users = jnp.array([7, 4, 0, 2])
    batch = interactions_of(graph, users, max_edges=40)
    probe = Embeddings(*(jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (4, 12)))

    def alone(e: Embeddings) -> Embeddings:
        return convolution.of_users(graph, e, batch)

    def among_all(e: Embeddings) -> Embeddings:
        final = convolution(graph, e)
        return Embeddings(user=final.user[users], item=final.item)

    # bfloat16 rounds what comes back through the sums over all edges, too.
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 0.02, "atol": 0.02}
    both = jax.jit(lambda e: [(f(e), jax.vjp(f, e)[1](probe)) for f in (alone, among_all)])
    for found, expected in zip(*map(jax.tree.leaves, both(embeddings)), strict=True):
        np.testing.assert_allclose(found, expected, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layer_zero": 0.4},
        {"receiver_exponent": 0.6, "sender_exponent": -0.1},
        {"receiver_exponent": 0.6, "sender_exponent": -0.1, "unit_layers": True, "layer_zero": 0.3},
    ],
    ids=["light", "layer 0 weighed", "exponents", "LightGCN++"],
)
def test_a_user_is_their_own_vector_and_the_messages_of_their_items(
    settings: dict[str, float], dtype: str
) -> None:
    rng = np.random.default_rng(8)
    ratings = (rng.random((9, 12)) < 0.4) * rng.uniform(0.1, 9.0, (9, 12))
    ratings[4] = ratings[:, 7] = 0  # a user and an item without edges
    graph, embeddings = graph_from_dense(ratings), embeddings_of(ratings)
    degrees = ratings.sum(axis=1, keepdims=True)
    convolutions = [LightGCN(layers, Sums("csr", dtype), **settings) for layers in range(4)]

    @jax.jit
    def finals_and_messages(graph: BipartiteGraph) -> list[tuple[jax.Array, jax.Array]]:
        return [
            (c(graph, embeddings).user, c.item_messages(graph, embeddings)) for c in convolutions
        ]

    for convolution, results in zip(convolutions, finals_and_messages(graph), strict=True):
        expected, messages = (np.asarray(part, np.float64) for part in results)
        own = convolution.own_weight * np.asarray(embeddings.user, np.float64)
        received = np.where(degrees > 0, degrees, 1) ** -convolution.receiver_exponent
        found = own + received * (ratings @ messages)
        # Relative to the terms, which may cancel.
        terms = np.abs(own) + received * (ratings @ np.abs(messages))
        assert np.all(np.abs(found - expected) <= 1e-6 * terms)
        assert messages.shape == embeddings.item.shape
        assert messages.any() == (convolution.num_layers > 0)
