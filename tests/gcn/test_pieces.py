"""Sums by pieces equal the reference whatever the rows' lengths, in an order of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn import pieces
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import segment_sum

run = pieces.by_pieces


def graph_of_degrees(degrees: list[int], num_items: int) -> BipartiteGraph:
    """A graph whose users have so many items each, at random, with weights."""
    rng = np.random.default_rng(0)
    item = [np.sort(rng.choice(num_items, size, replace=False)) for size in degrees]
    return build_graph(
        np.repeat(np.arange(len(degrees)), degrees),
        np.concatenate(item),
        rng.uniform(0.5, 2, sum(degrees)),
        num_users=len(degrees),
        num_items=num_items,
    )


# Every width and both its neighbours, rows without edges, one level, two and three.
DEGREES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 0, 33, 64, 65, 1023, 1024, 1025, 1100, 0]


def rows(number: int, dim: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((number, dim), np.float32))


@pytest.mark.parametrize(
    ("dim", "dtype", "widths"),
    [(1, "float32", (2, 5)), (6, "bfloat16", (7,)), (70, "float32", pieces.WIDTHS)],
)
def test_rows_of_every_length_equal_the_reference(
    dim: int, dtype: str, widths: tuple[int, ...]
) -> None:
    graph = graph_of_degrees(DEGREES, 1200)
    half, x = pieces.cut(graph, widths).to_users, rows(1200, dim)
    found = run(pieces.xla_group, half, x, dtype)
    np.testing.assert_allclose(found, segment_sum(half, x, dtype), rtol=1e-5, atol=1e-5)
    assert not np.asarray(found)[np.diff(half.offsets) == 0].any()


def test_each_edge_is_in_one_piece_and_half_of_a_group_s_places_at_least_are_used() -> None:
    half = pieces.cut(graph_of_degrees(DEGREES, 1200)).to_users
    assert isinstance(half, pieces.PiecedAdjacency)
    edges = []
    for group in (*half.levels[0].rows, half.levels[0].pieces):
        assert group is not None
        starts, counts = np.asarray(group.starts), np.asarray(group.counts)
        edges += [np.arange(start, start + n) for start, n in zip(starts, counts, strict=True)]
        if group is not half.levels[0].pieces:
            assert (2 * counts > group.width).all() and (counts <= group.width).all()
    assert sorted(np.concatenate(edges).tolist()) == list(range(half.num_edges))
    assert len(half.levels) == 3


@pytest.mark.parametrize("width", [2, 16])
@pytest.mark.parametrize(("dim", "dtype"), [(1, "float32"), (70, "bfloat16")])
def test_the_kernel_for_gpus_sums_a_group_alike(width: int, dim: int, dtype: str) -> None:
    """More pieces and columns than a program has, and not a whole number of programs."""
    counts = jnp.asarray(np.random.default_rng(2).integers(1, width + 1, 11), jnp.int32)
    group = pieces.Group(jnp.cumsum(counts) - counts, counts, width)
    senders = jnp.asarray(np.random.default_rng(3).integers(0, 9, int(counts.sum())), jnp.int32)
    weights = rows(len(senders), 1)[:, 0]
    values = rows(len(senders), dim).astype(dtype)
    of_edges, of_pieces = (values[:9], senders, weights), (values, None, None)
    for arguments in (of_edges, of_pieces):
        found = pieces.pallas_group(group, *arguments, interpret=True)
        expected = pieces.xla_group(group, *arguments)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_other_rows_numbers_are_not_added_be_they_what_they_may() -> None:
    half = pieces.cut(graph_of_degrees([3, 5, 40], 50)).to_users
    x = jnp.full((50, 4), jnp.nan).at[half.senders[:3]].set(1.0)
    found = run(pieces.xla_group, half, x, "float32")
    np.testing.assert_allclose(found[0], half.weights[:3].sum() * np.ones(4), rtol=1e-6)


def test_a_row_s_sum_is_the_same_whichever_rows_are_beside_it() -> None:
    """So the order of additions is the row's own: nothing else can change a bit of it."""
    alone, beside = graph_of_degrees([900], 1000), graph_of_degrees([900, 30, 7, 1], 1000)
    x = rows(1000, 16)
    found = []
    for graph in (alone, beside):
        half = pieces.cut(graph).to_users
        found.append(
            run(pieces.xla_group, half.replace(weights=half.weights * 0 + 1), x, "float32")
        )
    np.testing.assert_array_equal(found[0][0], found[1][0])


def test_no_message_of_an_edge_is_ever_in_memory() -> None:
    graph = pieces.cut(graph_of_degrees([200] * 300, 400))
    dim = 64
    account = (
        run.lower(pieces.xla_group, graph.to_users, rows(400, dim), "float32")
        .compile()
        .memory_analysis()
    )
    if account is None:
        pytest.skip("this backend's compiler gives no account of memory")
    messages = graph.num_edges * dim * 4
    assert account.temp_size_in_bytes < messages / 4


def test_a_graph_that_was_not_cut_is_refused_and_one_without_edges_is_not() -> None:
    with pytest.raises(ValueError, match=r"expected one from pieces\.cut"):
        run(pieces.xla_group, graph_of_degrees([2], 3).to_users, rows(3, 4), "float32")
    none = np.zeros(0, np.int64)
    empty = pieces.cut(build_graph(none, none, none.astype(float), num_users=3, num_items=2))
    found = run(pieces.xla_group, empty.to_users, rows(2, 4), "float32")
    np.testing.assert_array_equal(found, np.zeros((3, 4)))
