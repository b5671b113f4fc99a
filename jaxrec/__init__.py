"""Recommendations from a listening history by graph convolution in JAX.

    import jaxrec as jr

    listens = jr.read("listens.csv", user="user", item="song")
    split = jr.split(listens, seed=0)
    model = jr.fit(split.train, epochs=10)
    model.recommend(["ann"], k=10)
    jr.evaluate(model, split, ks=(10, 20)).summary()

Names are loaded when they are first used, so that reading, splitting and bundles need no
JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxrec.api.bundled import BundledRecommender
    from jaxrec.api.evaluating import evaluate
    from jaxrec.api.fitting import fit
    from jaxrec.api.loading import load
    from jaxrec.api.reading import read, split
    from jaxrec.api.recommender import Recommender
    from jaxrec.data.interactions import Interactions, Listens
    from jaxrec.data.splits import Split
    from jaxrec.errors import RunError, UserError
    from jaxrec.rank.evaluate import Evaluation

_HOMES = {
    "read": "jaxrec.api.reading",
    "split": "jaxrec.api.reading",
    "fit": "jaxrec.api.fitting",
    "load": "jaxrec.api.loading",
    "evaluate": "jaxrec.api.evaluating",
    "Recommender": "jaxrec.api.recommender",
    "BundledRecommender": "jaxrec.api.bundled",
    "Evaluation": "jaxrec.rank.evaluate",
    "Listens": "jaxrec.data.interactions",
    "Interactions": "jaxrec.data.interactions",
    "Split": "jaxrec.data.splits",
    "UserError": "jaxrec.errors",
    "RunError": "jaxrec.errors",
}

__all__ = [
    "BundledRecommender",
    "Evaluation",
    "Interactions",
    "Listens",
    "Recommender",
    "RunError",
    "Split",
    "UserError",
    "evaluate",
    "fit",
    "load",
    "read",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxrec' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
