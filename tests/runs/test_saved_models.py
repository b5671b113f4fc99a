"""A model taken apart is put together by the version that did it, or refused in words."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from jaxrec.errors import UserError
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.item_weights import ItemWeights
from jaxrec.runs.saved_models import restore_model, save_model


@pytest.mark.parametrize("missing", ["unit_users", "fold_in"])
def test_a_model_that_another_version_took_apart_is_refused(missing: str) -> None:
    vectors = np.eye(3, dtype=np.float32)
    saved = save_model(Factors(vectors, vectors, Constant(vectors[0])))
    assert saved.about is not None
    np.testing.assert_array_equal(np.asarray(restore_model(saved).arrays()["user"]), vectors)
    settings = {name: each for name, each in saved.about["settings"].items() if name != missing}
    older = dataclasses.replace(saved, about={**saved.about, "settings": settings})
    with pytest.raises(UserError, match="another version of jaxrec, or has been changed"):
        restore_model(older)


@pytest.mark.parametrize("outside", [-1, 3, 10**6])
def test_weights_of_items_that_there_are_none_of_are_refused(outside: int) -> None:
    """The kernel adds to the scores of whichever items are named."""
    saved = save_model(ItemWeights(sparse.csr_array(np.eye(3, dtype=np.float32))))
    targets = np.array([0, outside, 2], np.int32)
    with pytest.raises(UserError, match="has been changed since"):
        restore_model(dataclasses.replace(saved, arrays=saved.arrays | {"targets": targets}))
