"""SLIM over neighbours against one least-squares problem after the other."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models import slim
from jaxrec.models.matrix import l2_by_length, squared_lengths
from tests.models.problems import as_matrix, fit, fit_model, random_plays


def one_by_one(table: np.ndarray, neighbours: int, l2_of_each: np.ndarray) -> np.ndarray:
    """Item by item, by its neighbours' columns alone: least squares with rows of l2 below."""
    lengths = np.linalg.norm(table, axis=0)
    weights = np.zeros((table.shape[1], table.shape[1]))
    for j, column in enumerate(table.T):
        cosines = table.T @ column / (lengths * lengths[j])
        cosines[j] = 0
        near = [i for i in np.argsort(-cosines, kind="stable")[:neighbours] if cosines[i] > 0]
        known = np.vstack([table[:, near], np.diag(np.sqrt(l2_of_each[near]))])
        target = np.r_[column, np.zeros(len(near))]
        weights[near, j] = np.linalg.lstsq(known, target, rcond=None)[0]
    return weights


@pytest.mark.parametrize("whole", [0, 8192])
@pytest.mark.parametrize("per_block", [1, 20, 2048])
@pytest.mark.parametrize("neighbours", [1, 4, 50])
@pytest.mark.parametrize(("l2", "exponent"), [(0.5, 0.0), (20.0, 0.5)])
def test_slim_is_each_items_own_ridge_regression(
    l2: float,
    exponent: float,
    neighbours: int,
    per_block: int,
    whole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is solved together, though some items have fewer neighbours than others."""
    monkeypatch.setattr(slim, "WHOLE", whole)
    monkeypatch.setattr(slim, "NEIGHBOURS_PER_BLOCK", per_block)
    table = random_plays(neighbours, users=30, items=25, share=0.1)
    lengths = np.square(table).sum(axis=0)
    l2_of_each = l2 * (lengths / lengths.mean()) ** exponent
    expected = one_by_one(table, neighbours, l2_of_each)
    assert len(np.unique((expected != 0).sum(axis=0))) > 1 or neighbours == 1
    settings = {"neighbours": neighbours, "l2": l2, "l2_exponent": exponent}
    found = fit_model("slim", table, weight="raw", **settings).weights
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-4, atol=1e-6)
    scores = fit("slim", table, weight="raw", **settings)
    np.testing.assert_allclose(scores, table @ expected, rtol=1e-4, atol=1e-5)


def test_where_all_items_have_a_listener_in_common_slim_with_all_of_them_is_ease() -> None:
    table = random_plays(0, users=40, items=12)
    table[0] = 1
    slims = fit_model("slim", table, neighbours=11, l2=5.0, l2_exponent=0.25).weights
    eases = fit_model("ease", table, l2=5.0, l2_exponent=0.25).weights
    np.testing.assert_allclose(slims.toarray(), eases, rtol=1e-3, atol=1e-5)


def test_items_without_neighbours_have_no_weights() -> None:
    """Each listener knows one song alone; a song nobody knows is there, too."""
    table = np.eye(3, 4, dtype=int)
    found = fit_model("slim", table, neighbours=2, l2=1.0, l2_exponent=0.25)
    assert found.weights.nnz == 0 and found.weights.shape == (4, 4)
    assert not fit("slim", table, neighbours=2, l2=1.0, l2_exponent=0.25).any()


@pytest.mark.parametrize(("plays", "l2"), [(1, 1e-30), (10**6, 1e-3), (10**6, 1e-12)])
def test_an_l2_that_float64_has_no_digits_for_is_refused(plays: int, l2: float) -> None:
    """Two songs that everybody has alike tell nothing of each other but by l2."""
    table = np.full((2000, 3), plays)
    with pytest.raises(UserError, match=rf"baseline\.slim\.l2 is {l2}; expected a larger number"):
        fit_model("slim", table, weight="raw", neighbours=2, l2=l2, l2_exponent=0.0)


def test_neighbours_whose_equations_have_no_room_are_refused_with_how_many_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = random_plays(0, users=40, items=12)
    monkeypatch.setattr(host_memory, "free_bytes", lambda: 24 * 8 * 6**2)
    settings = {"l2": 5.0, "l2_exponent": 0.0}
    monkeypatch.setattr(slim, "threads", lambda: 8)
    fit_model("slim", table, neighbours=6, **settings)
    message = r"baseline\.slim\.neighbours lets a song have 7 of them, .* expected at most 6"
    with pytest.raises(UserError, match=message):
        fit_model("slim", table, neighbours=7, **settings)


def test_items_with_few_neighbours_are_not_made_as_wide_as_one_with_many() -> None:
    """Solved together are at most twice as many numbers as there are neighbours, squared."""
    counts = [1] * 340 + [683] + [3, 5, 0, 200] * 20
    blocks = slim._blocks(_rows_of(counts))
    assert sorted(np.concatenate(blocks)) == list(np.flatnonzero(counts))
    for block in blocks:
        each = np.asarray(counts)[block]
        assert each.max() < 2 * each.min()
        assert len(block) == 1 or len(block) * each.max() <= slim.NEIGHBOURS_PER_BLOCK


def _rows_of(counts: Sequence[int]) -> sparse.csr_array:
    """A square matrix with so many entries in its rows."""
    columns = np.concatenate([np.arange(count) for count in counts])
    offsets = np.r_[0, np.cumsum(counts)]
    size = max(len(counts), *counts)
    offsets = np.r_[offsets, np.full(size - len(counts), offsets[-1])]
    return sparse.csr_array((np.ones(len(columns)), columns, offsets), shape=(size, size))


def test_play_counts_of_millions_leave_digits_for_a_small_l2() -> None:
    """Products of 10^13, of which float32 knows the millions, beside an l2 of 10^3."""
    random = np.random.default_rng(3)
    table = random.integers(1, 1_000_000, (12, 6))
    table[:, 3] = table[:, 0] + random.integers(0, 30, 12)
    found = fit_model(
        "slim", table, weight="raw", neighbours=5, l2=1e3, l2_exponent=0.0
    ).weights.toarray()
    expected = one_by_one(table.astype(np.float64), 5, np.full(6, 1e3))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_l2_grows_with_an_items_squared_length() -> None:
    lengths = squared_lengths(as_matrix(np.array([[1, 2, 0], [0, 2, 0]]), "raw"))
    np.testing.assert_array_equal(lengths, [1, 8, 0])
    found = l2_by_length(lengths, 9.0, 0.5)
    np.testing.assert_allclose(found[:2], 9 * np.sqrt([1 / 4.5, 8 / 4.5]), rtol=1e-6)
    np.testing.assert_allclose(l2_by_length(lengths, 9.0, 0.0), 9.0)
    np.testing.assert_allclose(l2_by_length(np.zeros(2), 9.0, 0.5), 9.0)
