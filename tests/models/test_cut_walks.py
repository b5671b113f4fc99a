"""Cut walks are the walks themselves where nothing is cut, and their best ends where it is."""

import numpy as np
import pytest

from jaxrec.models.cut_walks import cut
from jaxrec.models.filters import Filter
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import untracked
from jaxrec.models.walks import walks
from tests.gcn.conftest import RATINGS
from tests.graphs import graph_from_dense
from tests.models.problems import histories_of


def scattered() -> np.ndarray:
    """[40, 30] plays."""
    rng = np.random.default_rng(0)
    return (rng.random((40, 30)) < 0.2) * rng.integers(1, 4, (40, 30)).astype(float)


def both(ratings: np.ndarray, ends: int, longer: float) -> tuple[Filter, ItemWeights]:
    whole = walks(graph_from_dense(ratings), exponent=0.3, longer=longer)
    return whole, cut(whole, ends, untracked)


@pytest.mark.parametrize("name", sorted(RATINGS))
def test_short_walks_with_all_ends_are_the_same(name: str) -> None:
    ratings = RATINGS[name]()
    histories = histories_of(ratings)
    whole, kept = both(ratings, ratings.shape[1], 0.0)
    np.testing.assert_allclose(
        kept.scores(histories), whole.scores(histories), rtol=2e-5, atol=1e-6
    )


def test_longer_walks_are_of_the_same_size_on_the_whole() -> None:
    ratings = scattered()
    histories = histories_of(ratings)
    whole, kept = both(ratings, 30, 0.4)
    before, after = np.asarray(whole.scores(histories)), np.asarray(kept.scores(histories))
    # What is said against an item is cut, so only those that are spoken for are compared.
    lengths = np.linalg.norm(after * (before > 0), axis=1)
    lengths /= np.linalg.norm(np.maximum(before, 0), axis=1)
    assert np.abs(lengths - 1).max() < 0.2 and abs(lengths.mean() - 1) < 0.1


@pytest.mark.parametrize("longer", [0.0, 0.4])
def test_each_item_keeps_itself_and_its_best_ends(longer: float) -> None:
    whole, kept = both(scattered(), 5, longer)
    for item in range(30):
        found, alone = kept.similarities(item), np.asarray(whole.similarities(item)).copy()
        assert found[item] > 0 and np.count_nonzero(found) <= 6
        alone[item] = -np.inf
        best = set(np.argsort(-alone)[:5][np.sort(-alone)[:5] < 0].tolist())
        assert set(np.flatnonzero(found).tolist()) == best | {item}


def test_an_item_that_nobody_knows_has_no_ends() -> None:
    ratings = scattered()
    ratings[:, 7] = 0
    _, kept = both(ratings, 5, 0.4)
    assert not kept.similarities(7).any()
    assert np.isfinite(np.asarray(kept.scores(histories_of(ratings)))).all()
