"""A model taken apart is put together by the version that did it, or refused in words."""

import dataclasses

import numpy as np
import pytest

from jaxrec.errors import UserError
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.runs.saved_models import restore_model, save_model


@pytest.mark.parametrize("missing", ["unit_users", "fold_in"])
def test_a_model_that_another_version_took_apart_is_refused(missing: str) -> None:
    vectors = np.eye(3, dtype=np.float32)
    saved = save_model(Factors(vectors, vectors, Constant(vectors[0])))
    assert saved.about is not None
    np.testing.assert_array_equal(np.asarray(restore_model(saved).arrays()["user"]), vectors)
    settings = {name: each for name, each in saved.about["settings"].items() if name != missing}
    older = dataclasses.replace(saved, about={**saved.about, "settings": settings})
    with pytest.raises(UserError, match="another version of jaxrec; expected one that this"):
        restore_model(older)
