"""EASE against its dense formula."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models import ease, inverse, matrix
from jaxrec.models.matrix import Step, Track, untracked
from tests.models.problems import as_matrix, fit, fit_model, random_plays

WAYS = {"_by_items": 80, "_by_users": 20}  # with so many listeners to 30 songs


def _take(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has one of the ways taken, whatever it costs, and no other."""
    cost = 0 if way == "_by_users" else 10**30
    monkeypatch.setattr(ease, "_multiplications_by_users", lambda *counts: cost)
    monkeypatch.delattr(ease, next(other for other in WAYS if other != way))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows_per_block", [7, 512])
@pytest.mark.parametrize(("l2", "exponent"), [(0.5, 0.0), (50.0, 0.0), (5.0, 0.5), (5.0, 1.0)])
def test_ease_is_the_closed_form(
    l2: float, exponent: float, rows_per_block: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take(way, monkeypatch)
    monkeypatch.setattr(inverse, "ROWS_PER_BLOCK", rows_per_block)
    monkeypatch.setattr(ease, "ITEMS_PER_BLOCK", rows_per_block)
    monkeypatch.setattr(matrix, "ENTRIES_PER_BLOCK", 10 * rows_per_block)
    table = random_plays(0, users=WAYS[way], items=30)
    rows = as_matrix(table, "raw")
    found = ease.item_weights(rows, l2=l2, l2_exponent=exponent, track=untracked)
    products = table.T @ table
    lengths = np.diag(products) / np.diag(products).mean()
    solved = np.linalg.inv(products + l2 * np.diag(lengths**exponent))
    expected = solved / -np.diag(solved)
    np.fill_diagonal(expected, 0)
    assert found.dtype == np.float32
    assert np.all(np.diag(found) == 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    scores = fit("ease", table, weight="raw", l2=l2, l2_exponent=exponent)
    np.testing.assert_allclose(scores, table @ expected, rtol=1e-3, atol=1e-4)


def test_only_the_greatest_weights_of_each_song_are_kept_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inverse, "ROWS_PER_BLOCK", 7)
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


def _noted(made: list[str]) -> Track:
    """Notes what is made."""

    def track(steps: Sequence[Step], what: str, unit: str) -> Iterable[Step]:
        del unit
        made.append(what)
        return steps

    return track


def test_of_many_songs_and_few_listeners_the_smaller_inverse_is_taken() -> None:
    """Six listeners of 600 songs: a user matrix, and less work than 600 songs' inverse takes."""
    table = random_plays(4, users=6, items=600)
    made: list[str] = []
    track = _noted(made)
    ease.item_weights(as_matrix(table), l2=5.0, track=track)
    assert made == ["user matrix", "inverse", "item matrix"]
    made.clear()
    ease.item_weights(as_matrix(table.T), l2=5.0, track=track)
    assert made == ["item matrix", "inverse"]
    edges = int((table > 0).sum())
    assert ease.multiplications(6, 600, edges) < ease.multiplications(600, 600, edges)


def test_where_there_is_no_room_for_the_users_matrix_the_items_is_inverted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = as_matrix(random_plays(4, users=6, items=600))
    enough = ease._needed_by_users(6, 600)
    for free, inverted in ((enough, "user"), (enough - 1, "item")):
        monkeypatch.setattr(host_memory, "free_bytes", lambda free=free: free)
        made: list[str] = []
        ease.item_weights(rows, l2=5.0, track=_noted(made))
        assert made[0] == f"{inverted} matrix"


def test_listeners_without_a_listen_change_nothing() -> None:
    table = random_plays(5, users=6, items=600)
    more = np.vstack([table, np.zeros((2_000, 600), int)])
    made: list[str] = []
    np.testing.assert_array_equal(
        ease.item_weights(as_matrix(more), l2=5.0, track=_noted(made)),
        ease.item_weights(as_matrix(table), l2=5.0, track=untracked),
    )
    assert made[0] == "user matrix"  # of six


@pytest.mark.parametrize("way", WAYS)
def test_a_song_that_nobody_has_relates_to_none_whatever_the_exponent_is(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take(way, monkeypatch)
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


def test_ease_that_does_not_fit_is_refused_with_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_memory, "free_bytes", lambda: 3000)
    needed = 4 * 30 * (30 + 4 * 30)
    wanted = rf"30 x 30 items needs {needed:,} bytes with 3,000 free; expected at most 12 items"
    with pytest.raises(UserError, match=wanted):
        fit("ease", random_plays(0, users=8, items=30), l2=1.0)
    # With so small an l2 it is made in float64, and then again in float32.
    monkeypatch.setattr(host_memory, "free_bytes", lambda: 2 * needed)
    fit("ease", random_plays(0, users=80, items=30), l2=1.0)
    with pytest.raises(
        UserError, match=rf"needs {3 * needed:,} .* a larger config.baseline.ease.l2"
    ):
        fit("ease", random_plays(0, users=80, items=30), l2=1e-5)


def _table(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "all have much the same":
        return np.vstack([np.ones((20, 90), int), random_plays(6, users=10, items=90)])
    if kind == "songs that one listener has":
        table = np.zeros((60, 90), int)
        for row in table:
            row[rng.integers(0, 90, 4)] = 1
        return table
    plays = np.minimum(np.ceil(rng.pareto(0.7, (40, 90)) * 3), 20)
    return np.asarray((rng.random((40, 90)) < 0.5) * plays, int)


@pytest.mark.parametrize("kind", ["all have much the same", "songs that one listener has", "plays"])
@pytest.mark.parametrize("l2", [1e-6, 0.0005, 0.03, 5.0, 500.0])
@pytest.mark.parametrize("cost", [0, 10**30])
def test_rounding_leaves_every_weight_three_digits(
    kind: str, l2: float, cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 alone, and in float64 alone by users, a tenth of a weight or all of it goes."""
    monkeypatch.setattr(ease, "_multiplications_by_users", lambda *counts: cost)
    rows = as_matrix(_table(kind), "raw")
    found = ease.item_weights(rows, l2=l2, track=untracked)
    dense = rows.toarray().astype(np.float64)
    solved = np.linalg.inv(dense.T @ dense / l2 + np.eye(90))
    expected = solved / -np.diag(solved)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("cost", [0, 10**30])
@pytest.mark.parametrize("l2", [1e-50, 1e-30, 1e-12])
def test_ease_with_too_small_an_l2_is_refused(
    l2: float, cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "_multiplications_by_users", lambda *counts: cost)
    table = np.repeat(random_plays(2, users=20, items=5), 4, axis=1)  # columns are equal
    with pytest.raises(UserError, match=rf"config\.baseline\.ease\.l2 is {l2}; expected a larger"):
        fit("ease", table, l2=l2)
