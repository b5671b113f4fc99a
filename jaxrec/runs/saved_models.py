"""A model taken apart into named arrays and what tells which model they are, and put together."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxrec.errors import UserError
from jaxrec.models.blend import KINDS
from jaxrec.models.method import Saved
from jaxrec.models.model import Model


def save_model(model: Model) -> Saved:
    """A model's arrays, and what tells which model they are."""
    arrays = model.arrays()
    return Saved(
        arrays,
        {
            "kind": model.kind,
            "settings": model.settings(),
            "arrays": {
                name: [np.dtype(each.dtype).str, list(each.shape)] for name, each in arrays.items()
            },
        },
    )


def model_shapes(about: Mapping[str, Any] | None) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes and types of the arrays that `save_model` told of."""
    assert about is not None
    return {
        name: jax.ShapeDtypeStruct(tuple(shape), np.dtype(kind))
        for name, (kind, shape) in about["arrays"].items()
    }


def restore_model(saved: Saved) -> Model:
    """The model that `save_model` took apart.

    Raises:
      UserError: that of another version did, or what there is doesn't fit together.
    """
    assert saved.about is not None
    try:
        return KINDS[saved.about["kind"]].of_arrays(saved.arrays, saved.about["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "the model was saved by another version of jaxrec, or has been changed since; expected "
            "one that this version has fitted and saved"
        ) from error
