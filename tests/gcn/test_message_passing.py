"""The CPU's own kernel is jaxlib's CSR product to the bit, and leaves out only what it may."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn import pieces
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.embeddings import EVERY_ROW, Embeddings, Masks
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import KERNELS, Sums, choose_kernel
from tests import kernels
from tests.graphs import graph_from_dense

LIGHT = LightGCN(3, Sums("csr"))
LIGHTGCN_PP = LightGCN(2, Sums("csr"), receiver_exponent=0.6, unit_layers=True, layer_zero=0.3)


@functools.cache
def large_graph() -> BipartiteGraph:
    """Enough edges for several chunks, hubs, isolated nodes on both sides, weights."""
    rng = np.random.default_rng(0)
    num_users, num_items = 700, 900
    draws = (rng.random((2, 120_000)) ** 2 * [[num_users - 3], [num_items - 2]]).astype(np.int64)
    key = np.unique(draws[0] * num_items + draws[1])
    assert len(key) > 4 * 16_384
    return build_graph(
        key // num_items,
        key % num_items,
        rng.uniform(0.5, 2, len(key)),
        num_users=num_users,
        num_items=num_items,
    )


def rows(number: int, dim: int, seed: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal((number, dim), np.float32))


def mask(number: int, share: float, seed: int = 2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(number) < share)


@functools.partial(jax.jit, static_argnames=("kernel", "dtype"))
def sums(kernel, *arguments, dtype="float32", **named):
    return KERNELS[kernel](*arguments, dtype, **named)


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("dim", [1, 5, 16, 31, 64, 100, 130, 256])
def test_every_width_is_the_csr_product_to_the_bit(kernel: str, dtype: str, dim: int) -> None:
    graph = large_graph()
    for half, senders in ((graph.to_users, graph.num_items), (graph.to_items, graph.num_users)):
        x, base = rows(senders, dim), rows(half.num_rows, dim, seed=3)
        for more in ({}, {"base": base}):
            found = sums(kernel, half, x, dtype=dtype, **more)
            np.testing.assert_array_equal(found, sums("csr", half, x, dtype=dtype, **more))


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_masked_rows_are_left_out_and_no_others(kernel: str, share: float) -> None:
    half = large_graph().to_users
    senders = large_graph().num_items
    x, base = rows(senders, 40), rows(half.num_rows, 40, seed=3)
    everything = sums(kernel, half, x, base=base)

    receiving = mask(half.num_rows, share)
    received = sums(kernel, half, x, base=base, receiving=receiving)
    np.testing.assert_array_equal(received, jnp.where(receiving[:, None], everything, 0))

    sending = mask(senders, share, seed=4)
    zeroed = jnp.where(sending[:, None], x, 0)
    sent = sums(kernel, half, zeroed, base=base, sending=sending)
    np.testing.assert_array_equal(sent, sums("csr", half, zeroed, base=base))
    # What a mask leaves out is not looked at, be it what it may.
    spoilt = jnp.where(sending[:, None], x, jnp.nan)
    np.testing.assert_array_equal(sums(kernel, half, spoilt, base=base, sending=sending), sent)


@kernels.in_order
@pytest.mark.parametrize("kernel", [*kernels.PREFETCH, "segment_sum"])
@pytest.mark.parametrize("convolution", [LIGHT, LIGHTGCN_PP])
def test_rows_read_and_gradient_are_the_same_whether_others_are_left_out(
    kernel: str, convolution: LightGCN
) -> None:
    graph = large_graph()
    convolution = dataclasses.replace(convolution, sums=Sums(kernel))
    embeddings = Embeddings(user=rows(graph.num_users, 16), item=rows(graph.num_items, 16, seed=5))
    users, items = jnp.array([3, 699, 3, 41]), jnp.array([0, 7, 898, 899])
    read = Masks(
        user=jnp.zeros(graph.num_users, bool).at[users].set(True),
        item=jnp.zeros(graph.num_items, bool).at[items].set(True),
    )

    def loss(e: Embeddings, graph: BipartiteGraph, masks: Masks) -> tuple[jax.Array, Embeddings]:
        final = convolution(graph, e, masks)
        found = Embeddings(user=final.user[users], item=final.item[items])
        return jnp.sum(jnp.tanh(found.user * found.item)), found

    step = jax.jit(jax.grad(loss, has_aux=True))
    some, every = (jax.tree.leaves(step(embeddings, graph, masks)) for masks in (read, EVERY_ROW))
    for found, expected in zip(some, every, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_a_graph_without_edges_has_the_base_for_sums(kernel: str) -> None:
    none = np.zeros(0, np.int64)
    graph = build_graph(none, none, none.astype(float), num_users=3, num_items=2)
    base = rows(3, 20)
    np.testing.assert_array_equal(sums(kernel, graph.to_users, rows(2, 20), base=base), base)
    np.testing.assert_array_equal(sums(kernel, graph.to_users, rows(2, 20)), np.zeros((3, 20)))


def test_auto_is_what_the_backend_can_have_and_what_it_cannot_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pieces, "unavailable_reason", lambda: None)
    assert choose_kernel("auto", "gpu") == "pallas"
    assert choose_kernel("auto", "tpu") == "segment_sum"
    assert choose_kernel("auto", "gpu", dealt=True) == "segment_sum"
    with pytest.raises(ValueError, match=r"had here: it sums on one device .*mesh\.devices=1"):
        choose_kernel("pallas", "gpu", dealt=True)
    monkeypatch.setattr(pieces, "unavailable_reason", lambda: "the GPU is old")
    assert choose_kernel("auto", "gpu") == "segment_sum"
    with pytest.raises(ValueError, match="'pallas', which can't be had here: the GPU is old"):
        choose_kernel("pallas", "gpu")
    with pytest.raises(ValueError, match="'dense'; expected auto, segment_sum, csr, prefetch, pal"):
        choose_kernel("dense", "cpu")
    with pytest.raises(ValueError, match="'prefetch', which can't be had here: it is for cpu"):
        choose_kernel("prefetch", "gpu")
    with pytest.raises(ValueError, match="'pallas', which can't be had here: it is for gpu"):
        choose_kernel("pallas", "tpu")


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_auto_on_a_cpu_with_a_compiler_is_our_own(kernel: str) -> None:
    assert choose_kernel("auto", "cpu") == choose_kernel(kernel, "cpu") == kernel


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_bfloat16_rounds_the_gathered_embeddings_alone(kernel: str) -> None:
    ratings = (np.random.default_rng(5).random((9, 300)) < 0.9) * 1.0
    graph = graph_from_dense(ratings, kernel)
    exact = rows(300, 5)
    rounded = exact.astype(jnp.bfloat16).astype(jnp.float32)
    result = sums(kernel, graph.to_users, exact, dtype="bfloat16")
    expected = sums(kernel, graph.to_users, rounded)
    # On a CPU both add in the same order. Elsewhere some 270 roundings of partial sums below 1, by
    # up to 2^-24 each, are other ones: together about 2^-24 times their number's root, 1e-6.
    near = 1e-7 if kernels.ON_CPU else 1e-6
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=near)
    np.testing.assert_array_equal(Sums(kernel, "bfloat16").rounded(exact), rounded)
    assert np.any(np.asarray(result) != sums(kernel, graph.to_users, exact))
