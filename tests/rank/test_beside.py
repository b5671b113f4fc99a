"""Factors with a sparse matrix beside them are ranked exactly as their sum's scores are."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from jaxrec.errors import RunError
from jaxrec.models.blend import Blend
from jaxrec.models.histories import Histories
from jaxrec.models.item_weights import ItemWeights
from jaxrec.rank.beside import Beside
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from tests import kernels
from tests.models.problems import histories_of, random_plays
from tests.rank.models import LookedUp, factors

USERS, ITEMS = 75, 131
pytestmark = pytest.mark.parametrize("kernel", kernels.PREFETCH)


def whole(share: float = 3.0, *, metric: bool = False, seed: int = 0) -> tuple[Blend, Histories]:
    """Whole numbers, so that sums are exact in any order; a user without anything among them."""
    random = np.random.default_rng(seed)
    table = random_plays(seed, users=USERS, items=ITEMS)
    table[3] = 0
    network = factors(*(random.integers(-3, 4, (each, 5)) for each in (USERS, ITEMS)))
    network = dataclasses.replace(
        network, user=network.user.astype(np.float32), item=network.item.astype(np.float32)
    )
    weights = sparse.random_array((ITEMS, ITEMS), density=0.1, rng=random, dtype=np.float32)
    weights.data = np.float32(random.integers(1, 5, weights.nnz))
    beside = ItemWeights(weights.tocsr(), metric=np.ones(ITEMS, np.float32) if metric else None)
    return Blend((network, beside), (1.0, share), None), histories_of(table, "binary")


def scores_of(model: Blend, histories: Histories) -> np.ndarray:
    """By what the blend itself says, all written down."""
    return np.asarray(model.scores(histories), np.float32)


@pytest.mark.parametrize("budget", [1, 256])
@pytest.mark.parametrize("k", [1, 7, 200])
def test_lists_are_those_of_the_sum(kernel: str, k: int, budget: int) -> None:
    del kernel
    model, histories = whole()
    assert Beside.of(model) is not None
    expected = LookedUp(scores_of(model, histories))
    random = np.random.default_rng(k)
    seen = Seen(histories.offsets, histories.items)
    for chosen in (np.arange(USERS), random.integers(0, USERS, 33), np.array([3])):
        asked = histories.take(chosen)
        for hidden, candidates in [(None, None), (seen.take(chosen), random.random(ITEMS) < 0.7)]:
            settings = {"k": k, "seen": hidden, "candidates": candidates}
            found = top_k(model, asked, memory_budget_mb=budget, **settings)
            wanted = top_k(expected, asked, **settings)
            np.testing.assert_array_equal(found[0], wanted[0])
            np.testing.assert_array_equal(found[1], wanted[1])


def test_where_sums_are_divided_they_are_as_near_as_rounding_lets_them(kernel: str) -> None:
    del kernel
    model, histories = whole(0.7, metric=True)
    items, scores = top_k(model, histories, k=9)
    every = scores_of(model, histories)
    np.testing.assert_allclose(scores, np.take_along_axis(every, items, 1), rtol=1e-5)
    np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :9], rtol=1e-5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused(kernel: str, wrong: float) -> None:
    del kernel
    model, histories = whole()
    model.members[1].weights.data[0] = wrong
    with pytest.raises(RunError, match="NaN or an infinity"):
        top_k(model, histories, k=3)


def test_a_sum_beyond_float32_is_not_left_out_in_silence(kernel: str) -> None:
    del kernel
    model, histories = whole(-1e38)
    with pytest.raises(RunError, match="NaN or an infinity"):
        top_k(model, histories, k=3)


def test_other_sums_are_scored_as_before(kernel: str) -> None:
    del kernel
    model, _ = whole()
    network, beside = model.members
    biased = dataclasses.replace(beside, bias=np.ones(ITEMS, np.float32))
    known = np.ones(ITEMS, bool)
    for members, weights, scaled in [
        ((network, beside), (1.0, 2.0), known),
        ((network, beside), (0.5, 2.0), None),
        ((network, biased), (1.0, 2.0), None),
        ((beside, network), (1.0, 2.0), None),
        ((network, beside, beside), (1.0, 2.0, 1.0), None),
    ]:
        assert Beside.of(Blend(members, weights, scaled)) is None
