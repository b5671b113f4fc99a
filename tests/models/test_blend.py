"""Blends: each member at one scale per user, weighted and added."""

import numpy as np
import pytest

from jaxrec.models.blend import Blend, blend
from jaxrec.models.factors import Factors
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.model import Model
from tests.models.problems import fit_model, histories_of, random_plays

TABLE = random_plays(0, users=20, items=15)
HISTORIES = histories_of(TABLE, "binary")
KNOWN = np.arange(15) != 4
IALS = {"iterations": 4, "unobserved_weight": 0.2, "l2": 0.05, "l2_exponent": 0.7}


def members() -> list[Model]:
    """One of item weights and one of factors."""
    return [
        fit_model("ease", TABLE, l2=2.0),
        fit_model("ials", TABLE, dim=3, init_stddev=0.1, **IALS),
    ]


def standardised(model: Model) -> np.ndarray:
    scores = np.asarray(model.scores(HISTORIES), np.float64)
    mean, deviation = (f(scores[:, KNOWN], axis=1, keepdims=True) for f in (np.mean, np.std))
    return (scores - mean) / deviation


def test_each_member_has_mean_0_and_deviation_1_over_the_known_items_times_its_weight() -> None:
    models = members()
    found = blend(models, [1.5, 0.5], KNOWN).scores(HISTORIES)
    expected = 1.5 * standardised(models[0]) + 0.5 * standardised(models[1])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_members_scales_make_no_difference() -> None:
    first, second = members()
    assert isinstance(first, ItemWeights) and isinstance(first.weights, np.ndarray)
    assert isinstance(second, Factors)
    larger = ItemWeights(1000 * first.weights, bias=np.full(15, 7, np.float32))
    smaller = Factors(second.user / 64, second.item / 1024, second.fold_in)
    found, scaled = (
        np.asarray(blend(each, [1, 1], KNOWN).scores(HISTORIES))
        for each in ((first, second), (larger, smaller))
    )
    np.testing.assert_allclose(scaled, found, rtol=1e-3, atol=1e-3)


def test_a_user_of_whom_a_member_says_nothing_counts_by_the_others() -> None:
    """Equal scores have no deviation; they must not become infinite ones."""
    nothing = ItemWeights(np.zeros((15, 15), np.float32))
    ease = members()[0]
    for models in ([ease, nothing], [nothing, ease]):
        found = np.asarray(blend(models, [1, 1], KNOWN).scores(HISTORIES))
        np.testing.assert_allclose(found, standardised(ease), rtol=1e-4, atol=1e-4)


def test_members_of_weight_zero_are_left_out() -> None:
    ease, ials = members()
    only = blend([ease, ials], [0, 2], KNOWN)
    assert isinstance(only, Factors)
    whole = blend([ease, ials, ease], [1, 0, 0], KNOWN)
    assert isinstance(whole, Blend) and whole.members == (ease,)


@pytest.mark.parametrize("weights", [[0, 0], [0.0, -1.0]])
def test_a_blend_of_nothing_is_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one above 0"):
        blend(members(), weights, KNOWN)


def test_a_blend_within_a_blend_is_kept_whole() -> None:
    inner = blend(members(), [1, 1], KNOWN)
    outer = blend([inner, members()[1]], [1, 0.3], KNOWN)
    loaded = Blend.of_arrays(outer.arrays(), outer.settings())
    np.testing.assert_array_equal(loaded.scores(HISTORIES), outer.scores(HISTORIES))
