"""Blends: several models' scores, added up."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.gcn import native
from jaxrec.models.factors import CONSTANT, Factors, blended_similarities, side_by_side
from jaxrec.models.filters import Filter
from jaxrec.models.histories import Histories
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.model import (
    Array,
    Contributions,
    Model,
    numbered_arrays,
    one_history,
    part_of,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Blend:
    """The weighted sum of several models' scores.

    Methods that fail on different items are better together than the best of them alone.

    Attributes:
      members: models of the same users and items.
      weights: [members], how much each counts.
      known: [num_items] bool, the items over which each member's scores of a user are brought to
        mean 0 and deviation 1 first; None to take the scores as they are.
    """

    members: tuple[Model, ...]
    weights: tuple[float, ...]
    known: np.ndarray | None

    kind: ClassVar[str] = "blend"

    @property
    def num_items(self) -> int:
        """How many items are scored."""
        return self.members[0].num_items

    def scores(self, histories: Histories) -> Array:
        """Every item's score for each history: [n, num_items] float32."""
        scores = tuple(jnp.asarray(member.scores(histories)) for member in self.members)
        if self._known is None:
            return _add(scores, self.weights, self.known)
        return _add_in_cache(scores, jnp.asarray(self.weights, jnp.float32), self._known)

    def contributions(self, history: Histories, items: np.ndarray) -> Contributions:
        """The members' contributions, weighted, with each member's scale for this user held fixed.

        The members' means are `scale` in the rest.
        """
        one_history(history)
        entries = np.zeros((len(history.items), len(items)), np.float32)
        rest: dict[str, np.ndarray] = {}
        for member, weight in zip(self.members, self.weights, strict=True):
            own = member.contributions(history, items)
            factor, mean = weight, 0.0
            if self.known is not None:
                centre, spread = scale(jnp.asarray(member.scores(history)), self.known)
                factor, mean = weight / float(spread[0, 0]), float(centre[0, 0])
            entries += np.float32(factor) * own.entries
            parts = dict(own.rest)
            if self.known is not None:
                parts["scale"] = parts.get("scale", 0.0) - np.full(len(items), mean, np.float32)
            for name, part in parts.items():
                rest[name] = rest.get(name, 0.0) + np.float32(factor) * part
        return Contributions(entries, rest)

    def similarities(self, item: int) -> np.ndarray:
        """The members' similarities, each divided by its deviation over the items, weighted."""
        return blended_similarities(self.members, self.weights, item)

    def arrays(self) -> dict[str, Array]:
        """The members' arrays, by number, and the known items where they count."""
        own: dict[str, Array] = {} if self.known is None else {"known": self.known}
        return own | numbered_arrays(self.members)

    def settings(self) -> dict[str, Any]:
        """The weights, and the members' kinds and settings."""
        return {
            "weights": list(self.weights),
            "kinds": [member.kind for member in self.members],
            "members": [member.settings() for member in self.members],
        }

    @functools.cached_property
    def _known(self) -> jax.Array | None:
        """`known` as 1 or 0 for our CPU kernel; None where it can't be had or does nothing."""
        if self.known is None or jax.default_backend() != "cpu" or native.unavailable_reason():
            return None
        return jnp.asarray(self.known, jnp.float32)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The model that `arrays` and `settings` tell of."""
        members = tuple(
            KINDS[kind].of_arrays(part_of(arrays, str(number)), own)
            for number, (kind, own) in enumerate(
                zip(settings["kinds"], settings["members"], strict=True)
            )
        )
        known = np.asarray(arrays["known"]) if "known" in arrays else None
        return cls(members, tuple(settings["weights"]), known)


@jax.jit
def _add(
    scores: tuple[jax.Array, ...], weights: tuple[float, ...], known: jax.Array | None
) -> jax.Array:
    """The members' weighted sum, in the order of the members."""
    total = jnp.zeros_like(scores[0])
    for own, weight in zip(scores, weights, strict=True):
        if known is not None:
            centre, spread = scale(own, known)
            own = (own - centre) / spread
        total += weight * own
    return total


@jax.jit
def _add_in_cache(scores: tuple[jax.Array, ...], weights: jax.Array, known: jax.Array) -> jax.Array:
    """The same, each at one scale, going over memory once: a third of the time."""
    call = jax.ffi.ffi_call(
        native.target(native.STANDARD), jax.ShapeDtypeStruct(scores[0].shape, jnp.float32)
    )
    return call(weights, known, jnp.float32(CONSTANT), *scores)


@jax.jit
def scale(scores: Array, known: Array) -> tuple[jax.Array, jax.Array]:
    """Each user's mean and deviation over the known items: [n, 1] float32 each.

    Scores that differ by rounding alone say nothing: their deviation is infinite, so that they
    count for nothing.
    """
    count = jnp.maximum(jnp.sum(known), 1)
    size = jnp.max(jnp.where(known, jnp.abs(scores), 0), axis=1, keepdims=True)
    parts = scores / jnp.where(size > 0, size, 1)  # so that no square is too small or too great
    centre = jnp.sum(jnp.where(known, parts, 0), axis=1, keepdims=True) / count
    squares = jnp.sum(jnp.where(known, jnp.square(parts - centre), 0), axis=1, keepdims=True)
    spread = jnp.sqrt(squares / count)
    return size * centre, jnp.where(spread > CONSTANT, size * spread, jnp.inf)


def blend(models: Sequence[Model], weights: Sequence[float], known: np.ndarray) -> Model:
    """The models' weighted sum, each brought to one scale per user.

    Of models of factors it is one, too, which is ranked as fast as they are.

    Args:
      models: fitted to the same users and items; those of weight 0 are left out.
      weights: [models], at least 0, one of them above.
      known: [num_items] bool, the items that train knows: over them a user's scores by each model
        are brought to mean 0 and deviation 1.

    Raises:
      ValueError: no weight is above 0.
    """
    counting = [
        (model, weight) for model, weight in zip(models, weights, strict=True) if weight > 0
    ]
    if not counting:
        raise ValueError(f"weights are {list(weights)}; expected one above 0")
    members, own = [model for model, _ in counting], [float(weight) for _, weight in counting]
    factors = [model for model in members if isinstance(model, Factors)]
    if len(factors) == len(members):
        return side_by_side(factors, own, known)
    return Blend(tuple(members), tuple(own), known)


def settled(model: Model, histories: Histories) -> Model:
    """The same model where users' rows are as some histories move them, for who keeps it apart.

    Args:
      model: any.
      histories: every user's, in the order of the users.
    """
    if histories.learnt is None:
        return model
    if isinstance(model, Blend):
        members = tuple(settled(member, histories) for member in model.members)
        return dataclasses.replace(model, members=members)
    return model.moved(histories) if isinstance(model, Factors) else model


KINDS: dict[str, type[Model]] = {each.kind: each for each in (Factors, ItemWeights, Filter, Blend)}
