"""Sums by pieces equal the reference whatever the rows' lengths, in an order of their own.

Without a GPU the kernel is interpreted, which is slow: the graphs are small.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn import pieces
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import segment_sum
from tests.kernels import ON_CPU

sums = functools.partial(pieces.piece_sums, interpret=ON_CPU)


def graph_of_degrees(degrees: list[int], num_items: int) -> BipartiteGraph:
    """A graph whose users have so many items each; which ones, says the number of items alone."""
    item = [
        np.sort(np.random.default_rng(size).choice(num_items, size, replace=False))
        for size in degrees
    ]
    return build_graph(
        np.repeat(np.arange(len(degrees)), degrees),
        np.concatenate(item),
        np.random.default_rng(0).uniform(0.5, 2, sum(degrees)),
        num_users=len(degrees),
        num_items=num_items,
    )


# Every width and both its neighbours, rows without edges, one level, two and three.
DEGREES = [0, 1, 2, 3, 4, 5, 7, 31, 32, 0, 33, 64, 65, 1023, 1024, 1025, 1100, 0]
ITEMS, DIM = 1200, 6  # one program for all tests of these


def rows(number: int, dim: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((number, dim), np.float32))


@pytest.mark.parametrize(
    ("degrees", "dim", "dtype", "widths"),
    [
        (DEGREES, DIM, "float32", pieces.WIDTHS),
        ([0, 1, 2, 3, 5, 6, 26], 1, "float32", (2, 5)),
        ([2, 26], 70, "bfloat16", (5,)),  # more columns than a program has
    ],
)
def test_rows_of_every_length_equal_the_reference(
    degrees: list[int], dim: int, dtype: str, widths: tuple[int, ...]
) -> None:
    half, x = pieces.cut(graph_of_degrees(degrees, ITEMS), widths).to_users, rows(ITEMS, dim)
    found = sums(half, x, dtype)
    np.testing.assert_allclose(found, segment_sum(half, x, dtype), rtol=1e-5, atol=1e-5)
    assert not np.asarray(found)[np.diff(half.offsets) == 0].any()


def test_each_edge_is_in_one_piece_of_the_narrowest_group_that_holds_it() -> None:
    half = pieces.cut(graph_of_degrees(DEGREES, ITEMS)).to_users
    assert isinstance(half, pieces.PiecedAdjacency)
    narrow, wide = half.levels[0].rows
    assert np.asarray(narrow.counts).max() == narrow.width < np.asarray(wide.counts).min()
    edges = []
    for group in (narrow, wide, half.levels[0].pieces):
        assert group is not None
        starts, counts = np.asarray(group.starts), np.asarray(group.counts)
        edges += [np.arange(start, start + n) for start, n in zip(starts, counts, strict=True)]
        assert counts.min() >= 1 and counts.max() <= group.width
    assert sorted(np.concatenate(edges).tolist()) == list(range(half.num_edges))
    assert len(half.levels) == 3


def test_other_rows_numbers_are_not_added_be_they_what_they_may() -> None:
    half = pieces.cut(graph_of_degrees(DEGREES, ITEMS)).to_users
    own = half.senders[half.offsets[6] : half.offsets[7]]
    x = jnp.full((ITEMS, DIM), jnp.nan, jnp.float32).at[own].set(1.0)
    weights = half.weights[half.offsets[6] : half.offsets[7]]
    np.testing.assert_allclose(sums(half, x, "float32")[6], np.full(DIM, weights.sum()), rtol=1e-6)


def test_a_row_s_sum_is_the_same_whichever_rows_are_beside_it() -> None:
    """So the order of additions is the row's own: nothing else can change a bit of it."""
    x, found = rows(ITEMS, DIM), []
    for degrees in (DEGREES, DEGREES[::-1]):
        half = pieces.cut(graph_of_degrees(degrees, ITEMS)).to_users
        found.append(sums(half.replace(weights=half.weights * 0 + 1), x, "float32"))
    np.testing.assert_array_equal(found[0], found[1][::-1])


def test_a_graph_that_was_not_cut_is_refused_and_one_without_edges_is_not() -> None:
    with pytest.raises(ValueError, match=r"expected one from pieces\.cut"):
        sums(graph_of_degrees([2], 3).to_users, rows(3, 4), "float32")
    none = np.zeros(0, np.int64)
    empty = pieces.cut(build_graph(none, none, none.astype(float), num_users=3, num_items=2))
    np.testing.assert_array_equal(sums(empty.to_users, rows(2, 4), "float32"), np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("platform", "capability", "reason"),
    [
        ("PJRT C API\ncuda 13000", "9.0", None),
        ("PJRT C API\ncuda 12090", "7.5", "compute capability 8.0 (Ampere) and later, not 7.5"),
        ("PJRT C API\nrocm 60300", "gfx942", "for NVIDIA GPUs, not some device"),
    ],
)
def test_which_gpus_can_run_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, capability: str, reason: str | None
) -> None:
    device = types.SimpleNamespace(
        client=types.SimpleNamespace(platform_version=platform),
        compute_capability=capability,
        device_kind="some device",
    )
    monkeypatch.setattr(jax, "devices", lambda: [device])
    found = pieces.unavailable_reason()
    assert found == reason or (reason and reason in str(found))
