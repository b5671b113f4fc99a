"""GF-CF against its dense formula."""

import numpy as np
import pytest

from jaxrec.errors import UserError
from jaxrec.models import gfcf
from tests.kernels import in_order
from tests.models.problems import fit, random_plays


@pytest.fixture
def searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a matrix is."""
    monkeypatch.setattr(gfcf, "DENSE", 0)
    monkeypatch.setattr(gfcf, "_kept", {})


@pytest.mark.parametrize("dense", [0, 16])
@pytest.mark.parametrize("shape", [(25, 16), (16, 25)])
@pytest.mark.parametrize("low_pass_weight", [0.0, 0.3])
def test_gfcf_is_the_dense_formula(
    low_pass_weight: float,
    shape: tuple[int, int],
    dense: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gfcf, "DENSE", dense)
    monkeypatch.setattr(gfcf, "_kept", {})
    table = random_plays(3, users=shape[0], items=shape[1])
    known = (table > 0).astype(np.float64)
    degrees = known.sum(axis=1, keepdims=True), known.sum(axis=0)
    normalised = known / np.sqrt(degrees[0] * degrees[1])
    vectors = np.linalg.svd(normalised)[2][:4]
    linear = known @ normalised.T @ normalised
    root = np.sqrt(degrees[1])
    low_pass = known / root @ vectors.T @ vectors * root
    scores = fit("gfcf", table, singular_vectors=4, low_pass_weight=low_pass_weight)
    np.testing.assert_allclose(scores, linear + low_pass_weight * low_pass, atol=1e-5)


def test_without_so_many_singular_values_the_others_say_nothing() -> None:
    """Two kinds of listeners: two values that aren't 0, and twice the same lists."""
    table = np.repeat([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1]], [9, 8], axis=0)
    for plays in (table, table.T):
        two, most = (
            fit("gfcf", plays, singular_vectors=count, low_pass_weight=0.3) for count in (2, 5)
        )
        np.testing.assert_allclose(most, two, atol=1e-6)
        assert np.isfinite(most).all()


@pytest.mark.usefixtures("searched_for")
def test_gfcf_does_not_depend_on_where_the_search_starts() -> None:
    table = random_plays(4, users=30, items=20)
    first, other = (
        fit("gfcf", table, seed=seed, singular_vectors=5, low_pass_weight=0.3) for seed in (0, 1)
    )
    np.testing.assert_allclose(first, other, atol=1e-5)


@in_order
@pytest.mark.parametrize("dense", [0, 16])
def test_gfcf_is_the_same_bits_every_time(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gfcf, "DENSE", dense)
    monkeypatch.setattr(gfcf, "MOST_KEPT", 0)
    table = random_plays(4, users=30, items=20)
    first, again = (fit("gfcf", table, singular_vectors=5, low_pass_weight=0.3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.usefixtures("searched_for")
def test_gfcf_with_another_weight_searches_no_vectors_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, searched = random_plays(8, users=30, items=20), []
    alone = fit("gfcf", table, singular_vectors=5, low_pass_weight=0.6)
    monkeypatch.setattr(gfcf, "_kept", {})
    svds = gfcf.svds
    monkeypatch.setattr(gfcf, "svds", lambda *a, **k: (searched.append(k["k"]), svds(*a, **k))[1])
    fit("gfcf", table, singular_vectors=5, low_pass_weight=0.3)
    np.testing.assert_array_equal(
        fit("gfcf", table, singular_vectors=5, low_pass_weight=0.6), alone
    )
    assert searched == [5]
    fit("gfcf", table, singular_vectors=4, low_pass_weight=0.3)
    fit("gfcf", table, singular_vectors=5, low_pass_weight=0.3, seed=1)
    fit("gfcf", random_plays(9, users=30, items=20), singular_vectors=5, low_pass_weight=0.3)
    assert searched == [5, 4, 5, 5]
    monkeypatch.setattr(gfcf, "MOST_KEPT", 5 * 20 * 8)  # room for those of one
    for vectors in (5, 4, 5):
        fit("gfcf", table, singular_vectors=vectors, low_pass_weight=0.3)
    assert searched == [5, 4, 5, 5, 4, 5]


def test_there_are_no_more_singular_vectors_than_the_smaller_side_but_one() -> None:
    table = random_plays(5, users=9, items=6)
    most = fit("gfcf", table, singular_vectors=5, low_pass_weight=0.3)
    np.testing.assert_array_equal(
        fit("gfcf", table, singular_vectors=256, low_pass_weight=0.3), most
    )
    with pytest.raises(UserError, match="9 users and 1 items; expected at least 2 of each"):
        fit("gfcf", table[:, :1] + 1, singular_vectors=5, low_pass_weight=0.3)
