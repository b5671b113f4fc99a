"""Our CPU kernels score as SciPy and JAX do, where they can be had."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxrec.gcn import native
from jaxrec.models.blend import Blend
from jaxrec.models.cut_walks import cut
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import untracked
from jaxrec.models.model import Model
from jaxrec.models.walks import walks
from tests import kernels
from tests.graphs import graph_from_dense
from tests.models.problems import fit_model, histories_of, random_plays

# Wider than the lanes of a vector, and no multiple of them; a user and an item without any play.
TABLE = random_plays(1, users=30, items=77)
TABLE[3], TABLE[:, 5] = 0, 0
HISTORIES = histories_of(TABLE)
KNOWN = TABLE.any(axis=0)
Fit = Callable[[], Model]


def itemknn() -> ItemWeights:
    model = fit_model("itemknn", TABLE, neighbours=9, shrink=1.0, normalize=True, centre=False)
    assert isinstance(model, ItemWeights)
    return model


def cut_walks() -> ItemWeights:
    return cut(walks(graph_from_dense(TABLE), exponent=0.3, longer=0.0), 9, untracked)


def nothing() -> ItemWeights:
    return ItemWeights(np.zeros((77, 77), np.float32))


def far_from_one() -> ItemWeights:
    """Squares of such scores have no place in a float."""
    ease = fit_model("ease", TABLE, l2=2.0)
    assert isinstance(ease, ItemWeights)
    return ItemWeights(np.asarray(ease.weights) * np.float32(1e-25))


def of_all(*, standard: bool) -> Blend:
    members = (itemknn(), nothing(), cut_walks(), far_from_one())
    return Blend(members, (0.3, 1.0, 1.0, 2.0), KNOWN if standard else None)


FITS: dict[str, Fit] = {
    "itemknn": itemknn,
    "cut walks": cut_walks,
    "blend": lambda: of_all(standard=True),
    "plain sum": lambda: of_all(standard=False),
}


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
@pytest.mark.parametrize("name", FITS)
def test_scores_are_those_without_a_compiler(
    kernel: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kernel
    found = np.asarray(FITS[name]().scores(HISTORIES))
    monkeypatch.setattr(native, "unavailable_reason", lambda: "no compiler")
    expected = np.asarray(FITS[name]().scores(HISTORIES))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    if name == "itemknn":
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
@pytest.mark.parametrize("name", FITS)
def test_a_row_is_the_same_among_others_and_alone(kernel: str, name: str) -> None:
    del kernel
    model = FITS[name]()
    together = np.asarray(model.scores(HISTORIES))
    for row in (0, 3, 29):
        alone = np.asarray(model.scores(HISTORIES.take(np.array([row]))))
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_not_hidden(kernel: str, wrong: float) -> None:
    del kernel
    weights = np.eye(77, dtype=np.float32)
    weights[2, 2] = wrong
    found = np.asarray(
        Blend((nothing(), ItemWeights(weights)), (1.0, 1.0), KNOWN).scores(HISTORIES)
    )
    assert not np.isfinite(found[TABLE[:, 2] > 0]).any()
