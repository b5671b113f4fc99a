"""Which baseline a name stands for."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxrec.baselines import ease, gfcf, ials, itemknn, most_popular, rp3beta
from jaxrec.baselines.matrix import Track, interaction_matrix, untracked
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight
from jaxrec.rank.top_k import Scorer

METHODS: dict[str, Callable[..., Scorer]] = {
    "most_popular": most_popular.fit,
    "itemknn": itemknn.fit,
    "rp3beta": rp3beta.fit,
    "ease": ease.fit,
    "ials": ials.fit,
    "gfcf": gfcf.fit,
}
RANDOM = frozenset({"ials"})  # another seed gives other scores


def fit(
    name: str,
    settings: Mapping[str, Any],
    train: Interactions,
    *,
    weight: Weight = "binary",
    seed: int,
    track: Track = untracked,
) -> Scorer:
    """Fits a baseline.

    Args:
      name: one of `METHODS`.
      settings: the parameters of its `fit`, by name.
      train: what it may know.
      weight: an interaction's entry in the matrix from its plays, as of `edge_weight`.
      seed: of all randomness; the same one gives the same scorer.
      track: shows how far it is.

    Raises:
      UserError: a parameter doesn't suit the data, or the memory doesn't suffice.
    """
    return METHODS[name](interaction_matrix(train, weight), **settings, seed=seed, track=track)
