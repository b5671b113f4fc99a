"""EASE against its dense formula."""

import numpy as np
import pytest

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models import ease
from jaxrec.models.matrix import untracked
from tests.models.problems import as_matrix, fit, fit_model, random_plays


@pytest.mark.parametrize("rows_per_block", [7, 512])
@pytest.mark.parametrize(("l2", "exponent"), [(0.5, 0.0), (50.0, 0.0), (5.0, 0.5), (5.0, 1.0)])
def test_ease_is_the_closed_form(
    l2: float, exponent: float, rows_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "ROWS_PER_BLOCK", rows_per_block)
    table = random_plays(0, users=80, items=30)
    rows = as_matrix(table, "raw")
    found = ease.item_weights(rows, l2=l2, l2_exponent=exponent, track=untracked)
    products = table.T @ table
    lengths = np.diag(products) / np.diag(products).mean()
    inverse = np.linalg.inv(products + l2 * np.diag(lengths**exponent))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert found.dtype == np.float32
    assert np.all(np.diag(found) == 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    scores = fit("ease", table, weight="raw", l2=l2, l2_exponent=exponent)
    np.testing.assert_allclose(scores, table @ expected, rtol=1e-3, atol=1e-4)


def test_only_the_greatest_weights_of_each_song_are_kept_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ease, "ROWS_PER_BLOCK", 7)
    table = random_plays(0, users=80, items=30)
    whole = fit_model("ease", table, l2=5.0).weights
    kept = fit_model("ease", table, l2=5.0, entries=4).weights.toarray()
    assert ((kept != 0).sum(axis=1) == 4).all()
    np.testing.assert_array_equal(kept[kept != 0], whole[kept != 0])
    least = np.where(kept != 0, np.abs(kept), np.inf).min(axis=1)
    assert (np.abs(whole * (kept == 0)).max(axis=1) <= least).all()
    assert isinstance(fit_model("ease", table, l2=5.0, entries=30).weights, np.ndarray)


def test_no_other_weights_with_a_zero_diagonal_do_better_than_ease() -> None:
    """The gradient of |X - X B|^2 + l2 |B|^2 is zero wherever B may change."""
    table = random_plays(1, users=40, items=12)
    rows = as_matrix(table, "binary")
    dense = (table > 0).astype(np.float64)
    found = ease.item_weights(rows, l2=3.0, track=untracked).astype(np.float64)
    gradient = dense.T @ (dense @ found - dense) + 3.0 * found
    np.fill_diagonal(gradient, 0)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


@pytest.mark.parametrize("rows_per_block", [1, 3, 4, 12, 100])
def test_the_inverse_grows_block_by_block_in_place(
    rows_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "ROWS_PER_BLOCK", rows_per_block)
    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    whole = root @ root.T + np.eye(12)
    table = whole.astype(np.float32)
    for block in ease._blocks(12):
        ease._extend_inverse(table, block, 1.0)
        known = slice(0, block.stop)
        expected = np.linalg.inv(whole[known, known])
        np.testing.assert_allclose(table[known, known], expected, rtol=1e-3, atol=1e-3)


def test_a_song_that_nobody_has_relates_to_none_whatever_the_exponent_is() -> None:
    table = random_plays(3, users=40, items=12)
    table[:, 5] = 0
    rest = np.arange(12) != 5
    found = ease.item_weights(as_matrix(table, "raw"), l2=3.0, l2_exponent=0.5, track=untracked)
    assert np.isfinite(found).all()
    assert (found[5] == 0).all()
    assert (found[:, 5] == 0).all()
    alone = ease.item_weights(
        as_matrix(table[:, rest], "raw"), l2=3.0, l2_exponent=0.5, track=untracked
    )
    np.testing.assert_allclose(found[rest][:, rest], alone, rtol=1e-4, atol=1e-6)


def test_ease_says_where_l2_is_too_small_for_float32() -> None:
    table = np.array([[1, 2], [2, 1]], np.float32)  # not positive definite
    with pytest.raises(UserError, match=r"config\.baseline\.ease\.l2 is 0\.1; expected a larger"):
        ease._extend_inverse(table, slice(0, 2), 0.1)


def test_ease_that_does_not_fit_is_refused_with_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_memory, "free_bytes", lambda: 3000)
    needed = 4 * 30 * (30 + 4 * 30)
    wanted = rf"30 x 30 items needs {needed:,} bytes with 3,000 free; expected at most 27 items"
    with pytest.raises(UserError, match=wanted):
        fit("ease", random_plays(0, users=8, items=30), l2=1.0)


def test_ease_with_too_small_an_l2_is_refused() -> None:
    table = np.repeat(random_plays(2, users=20, items=5), 4, axis=1)  # columns are equal
    with pytest.raises(UserError, match=r"config\.baseline\.ease\.l2 is 1e-30"):
        fit("ease", table, l2=1e-30)
