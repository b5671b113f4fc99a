"""The methods that are fitted at once, and what a graph network must beat: one module each."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight
from jaxrec.data.weighting import Weighting
from jaxrec.models import (
    ease,
    gfcf,
    ials,
    itemknn,
    own_plays,
    popularity,
    rp3beta,
    sessions,
    slim,
    transitions,
    walks,
)
from jaxrec.models.histories import Histories
from jaxrec.models.matrix import Track, untracked
from jaxrec.models.model import Model

CLOSED_FORMS: dict[str, Callable[..., Model]] = {
    "own_plays": own_plays.fit,
    "most_popular": popularity.fit,
    "itemknn": itemknn.fit,
    "rp3beta": rp3beta.fit,
    "ease": ease.fit,
    "slim": slim.fit,
    "ials": ials.fit,
    "gfcf": gfcf.fit,
    "walks": walks.fit,
}
# Fitted to the interactions with the times of their listens, not to a matrix.
BY_TIME: dict[str, Callable[..., Model]] = {
    "recent_popular": popularity.fit_recent,
    "transitions": transitions.fit,
    "sessions": sessions.fit,
}
NOTES: dict[str, Callable[[int], str]] = {"ease": ease.size_note}  # by the number of items
RANDOM = frozenset({"ials"})  # another seed gives other scores


def fit(
    name: str,
    settings: Mapping[str, Any],
    train: Interactions,
    *,
    weight: Weighting | Weight = "binary",
    seed: int,
    track: Track = untracked,
) -> Model:
    """Fits one of them.

    Args:
      name: one of `CLOSED_FORMS` or `BY_TIME`.
      settings: the parameters of its `fit`, by name.
      train: what it may know.
      weight: an interaction's entry in the matrix, as of `Histories.of_all`.
      seed: of all randomness; the same one gives the same model.
      track: shows how far it is.

    Raises:
      UserError: a parameter doesn't suit the data, or the memory doesn't suffice.
    """
    if name in BY_TIME:
        return BY_TIME[name](train, **settings, seed=seed, track=track)
    matrix = Histories.of_all(train, weight).matrix()
    return CLOSED_FORMS[name](matrix, **settings, seed=seed, track=track)
