"""How much an item's length counts: from the cosine alone to the inner product and beyond."""

import numpy as np
import pytest

from jaxrec.models.factors import Factors, with_length_exponent
from jaxrec.models.fold_in import Constant
from tests.models.problems import histories_of, random_plays

RANDOM = np.random.default_rng(0)
FACTORS = Factors(
    RANDOM.normal(size=(20, 5)).astype(np.float32),
    (RANDOM.normal(size=(15, 5)) * np.arange(15)[:, None]).astype(np.float32),  # item 0: length 0
    Constant(np.ones(5, np.float32)),
)
HISTORIES = histories_of(random_plays(0, users=20, items=15), "binary")


def test_1_changes_no_bit() -> None:
    assert with_length_exponent(FACTORS, 1.0) is FACTORS


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_scores_are_cosines_times_lengths_to_the_power(exponent: float) -> None:
    found = with_length_exponent(FACTORS, exponent).scores(HISTORIES)
    users, items = FACTORS.user.astype(np.float64), FACTORS.item.astype(np.float64)
    length = np.linalg.norm(items, axis=1)
    cosines = users @ np.divide(items, length[:, None], where=length[:, None] > 0, out=0 * items).T
    np.testing.assert_allclose(found, cosines * length**exponent, rtol=1e-5, atol=1e-5)


def test_what_is_near_an_item_stays() -> None:
    scaled = with_length_exponent(FACTORS, 0.3)
    np.testing.assert_allclose(scaled.similarities(3), FACTORS.similarities(3), atol=1e-6)
