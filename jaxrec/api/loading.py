"""Models out: opened from a folder, be it a run's, a saved model's or a bundle's."""

from pathlib import Path
from typing import TYPE_CHECKING

from jaxrec.api.bundled import BundledRecommender
from jaxrec.api.words import plain_errors
from jaxrec.errors import UserError
from jaxrec.manifest import FILE_NAME

if TYPE_CHECKING:
    from jaxrec.api.recommender import Recommender


def load(folder: str | Path, *, step: int | None = None) -> "Recommender | BundledRecommender":
    """Opens what `Recommender.save`, a run on the command line or `export` has left in a folder.

    Of a run that is the model that was measured; what it has fitted to all listens besides, with
    `config.auto.refit`, is in the folder for-use/ below. A bundle needs no JAX.

    >>> jr.fit(groups, method="itemknn").save("another-model")
    >>> jr.load("another-model").method
    'itemknn'

    Args:
      folder: the folder.
      step: a checkpoint's step; None for the best where the run stops early, else the last.

    Raises:
      UserError: no run, no model and no bundle there, or a damaged one.
    """
    if (Path(folder) / FILE_NAME).exists():
        if step is not None:
            raise UserError(f"step is {step}; expected none: {folder} is a bundle, of one step")
        return BundledRecommender(folder)
    # Here, since they bring JAX.
    from jaxrec.api.recommender import recommender_of
    from jaxrec.runs.trained import open_trained

    with plain_errors(workdir="folder"):
        return recommender_of(open_trained(Path(folder), step))
