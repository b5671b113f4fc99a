"""Models of factors: a vector for each user and each item, and their inner products."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.models.fold_in import Constant, FoldIn, LeastSquares, MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.model import (
    Array,
    Contributions,
    Model,
    numbered_arrays,
    one_history,
    part_of,
    with_prefix,
)

TINY = np.finfo(np.float32).tiny
CONSTANT = 1e-6  # a deviation, as a share of the greatest score, that is rounding alone


@dataclasses.dataclass(frozen=True, eq=False)
class Factors:
    """Scores <e_u, e_j>: the network, iALS, most popular, and blends of them.

    Lists are found for them without every score being written down (`rank.top_k`).

    Attributes:
      user: [num_users, dim] float32.
      item: [num_items, dim] float32.
      fold_in: how a history becomes a vector, for users who have no row in `user`.
      unit_users: whether users' vectors are scaled to length 1 before they are used. It changes no
        list, but what the scores are worth beside another model's.
    """

    user: np.ndarray
    item: np.ndarray
    fold_in: FoldIn
    unit_users: bool = False

    kind: ClassVar[str] = "factors"

    @property
    def num_items(self) -> int:
        """How many items are scored."""
        return len(self.item)

    def user_vectors(self, histories: Histories) -> np.ndarray:
        """e_u for each history, known users' own: [n, dim] float32."""
        vectors = self._raw(histories)
        return vectors / _lengths(vectors) if self.unit_users else vectors

    def moved(self, histories: Histories) -> "Factors":
        """The same with the rows of all users as their histories' weights have them."""
        return dataclasses.replace(self, user=self._of_known(histories))

    def scores(self, histories: Histories) -> Array:
        """Every item's score for each history: [n, num_items] float32."""
        return _products(self.user_vectors(histories), self.item)

    def contributions(self, history: Histories, items: np.ndarray) -> Contributions:
        """What each entry brings; the rest is what the user's own parameters do."""
        one_history(history)
        raw, parts = self._raw(history), self.fold_in.parts(history, self.item)
        own = raw[0] - parts.sum(axis=0)
        if self.unit_users:
            length = _lengths(raw)
            parts, own = parts / length, own / length[0]
        chosen = self.item[items]
        name = "popularity" if isinstance(self.fold_in, Constant) else "own"
        return Contributions(parts @ chosen.T, {name: chosen @ own})

    def similarities(self, item: int) -> np.ndarray:
        """The cosine of every item's vector with one's, or a blend's: [num_items] float32."""
        if isinstance(self.fold_in, SideBySide):
            return blended_similarities(self.fold_in.members, self.fold_in.weights, item)
        directions = self.item / _lengths(self.item)
        return np.asarray(directions @ directions[item], np.float32)

    def arrays(self) -> dict[str, Array]:
        """Both tables, and what the fold-in is made of."""
        own: dict[str, Array] = {"user": self.user, "item": self.item}
        return own | with_prefix(self.fold_in.arrays(), "fold_in")

    def settings(self) -> dict[str, Any]:
        """The kind of the fold-in and its settings."""
        return {
            "unit_users": self.unit_users,
            "fold_in": self.fold_in.kind,
            "fold_in_settings": self.fold_in.settings(),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The model that `arrays` and `settings` tell of."""
        fold_in = _FOLD_INS[settings["fold_in"]].of_arrays(
            part_of(arrays, "fold_in"), settings["fold_in_settings"]
        )
        user, item = np.asarray(arrays["user"]), np.asarray(arrays["item"])
        return cls(user, item, fold_in, settings["unit_users"])

    def _raw(self, histories: Histories) -> np.ndarray:
        """The vectors at their own length."""
        strangers = np.flatnonzero(histories.users < 0)
        if len(strangers) == 0:
            return self._of_known(histories)
        vectors = np.zeros((len(histories), self.item.shape[1]), np.float32)
        known = np.flatnonzero(histories.users >= 0)
        vectors[known] = self._of_known(histories.take(known))
        vectors[strangers] = self.fold_in.vectors(histories.take(strangers), self.item)
        return vectors

    def _of_known(self, histories: Histories) -> np.ndarray:
        """Known users' rows, moved by what other weights than those learnt change of a fold-in."""
        rows = self.user[histories.users]
        if histories.learnt is None:
            return rows
        weighted = self.fold_in.of_known(histories, self.item)
        learnt = self.fold_in.of_known(histories.as_learnt(), self.item)
        return np.asarray(rows + (weighted - learnt), np.float32)


@jax.jit
def _products(users: jax.Array, items: jax.Array) -> jax.Array:
    # Full float32 on accelerators too: counts must stay exact.
    return jnp.matmul(users, items.T, precision=lax.Precision.HIGHEST)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """[n, 1] float32, never 0."""
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), TINY)


def with_length_exponent(factors: Factors, exponent: float) -> Factors:
    """The same factors with item vectors e_j |e_j|^(exponent - 1), whose directions are the same.

    A vector's length grows with the item's popularity, so this says how much popularity counts:
    1 changes nothing, 0 ranks by the cosine alone.
    """
    if exponent == 1:
        return factors
    scale = _lengths(factors.item) ** np.float32(exponent - 1)
    scaled = np.where(factors.item.any(axis=1, keepdims=True), factors.item * scale, 0)
    return dataclasses.replace(factors, item=np.asarray(scaled, np.float32))


@dataclasses.dataclass(frozen=True, eq=False)
class SideBySide:
    """A blend's fold-in: its members' vectors one beside another, each at the member's scale.

    A member's scores of a user, <v, e_j - m> over the items with mean m, have the deviation
    (v^T C v)^1/2, where C is the covariance of the items' vectors. So vectors divided by it give
    scores of mean 0 and deviation 1, and their inner products are the blend's scores.

    Attributes:
      members: models of factors.
      weights: [members], how much each counts.
      known: [num_items] bool, the items over which mean and deviation are.
    """

    members: tuple[Factors, ...]
    weights: tuple[float, ...]
    known: np.ndarray

    kind: ClassVar[str] = "side_by_side"

    def item(self) -> np.ndarray:
        """The members' centred item vectors, side by side: [num_items, dim] float32."""
        return np.hstack([each.item - each.item[self.known].mean(axis=0) for each in self.members])

    def vectors(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """The members' user vectors, scaled and side by side: [n, dim] float32."""
        del item
        return np.hstack(
            [self._scaled(number, histories)[0] for number in range(len(self.members))]
        )

    def of_known(self, histories: Histories, item: np.ndarray) -> np.ndarray:
        """All of it: [n, dim] float32."""
        return self.vectors(histories, item)

    def parts(self, history: Histories, item: np.ndarray) -> np.ndarray:
        """The members' parts, at the scale of the whole: [num_entries, dim] float32."""
        del item
        columns = []
        for number, member in enumerate(self.members):
            _, scale = self._scaled(number, history)
            parts = member.fold_in.parts(history, member.item)
            if member.unit_users:
                parts = parts / _lengths(member._raw(history))
            columns.append(parts * scale)
        return np.hstack(columns)

    def arrays(self) -> dict[str, Array]:
        """The members' arrays, by number, and the known items."""
        own: dict[str, Array] = {"known": self.known}
        return own | numbered_arrays(self.members)

    def settings(self) -> dict[str, Any]:
        """The weights, and the members' settings."""
        return {
            "weights": list(self.weights),
            "members": [member.settings() for member in self.members],
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """The fold-in that `arrays` and `settings` tell of."""
        members = tuple(
            Factors.of_arrays(part_of(arrays, str(number)), own)
            for number, own in enumerate(settings["members"])
        )
        return cls(members, tuple(settings["weights"]), np.asarray(arrays["known"]))

    @functools.cached_property
    def _covariances(self) -> tuple[np.ndarray, ...]:
        """C of each member: [dim, dim] float64."""
        known = [each.item[self.known] for each in self.members]
        centred = [each - each.mean(axis=0) for each in known]
        return tuple((each.T @ each / max(len(each), 1)).astype(np.float64) for each in centred)

    def _scaled(self, number: int, histories: Histories) -> tuple[np.ndarray, np.ndarray]:
        """A member's vectors at the blend's scale [n, dim], and the scale [n, 1]."""
        weight, covariance = self.weights[number], self._covariances[number]
        vectors = self.members[number].user_vectors(histories)
        spread = np.einsum("nd,de,ne->n", vectors, covariance, vectors, optimize=True)
        # At most |v|^2 times the trace; of scores that are all the same it is 0 but for rounding.
        most = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64) * np.trace(covariance)
        differ = spread > CONSTANT**2 * most
        deviation = np.sqrt(np.where(differ, spread, 1.0))
        scale = np.where(differ, weight / deviation, 0.0)[:, None]
        return np.asarray(vectors * scale, np.float32), np.asarray(scale, np.float32)


def blended_similarities(
    members: Sequence[Model], weights: Sequence[float], item: int
) -> np.ndarray:
    """The members' similarities, each divided by its deviation over the items, weighted.

    A member to which all items are alike says nothing.
    """
    total = np.zeros(members[0].num_items, np.float32)
    for member, weight in zip(members, weights, strict=True):
        own = member.similarities(item)
        spread = float(own.std())
        if spread > CONSTANT * float(np.abs(own).max(initial=0)):
            total += np.float32(weight / spread) * own
    return total


def side_by_side(
    members: Sequence[Factors], weights: Sequence[float], known: np.ndarray
) -> Factors:
    """A blend of models of factors, itself one: each at one scale per user, times its weight.

    Args:
      members: fitted to the same users and items.
      weights: [members].
      known: [num_items] bool, the items over which a user's scores have mean 0 and deviation 1.
    """
    fold_in = SideBySide(tuple(members), tuple(weights), known)
    num_users = len(members[0].user)
    everyone = Histories(
        offsets=np.zeros(num_users + 1, np.int64),
        items=np.zeros(0, np.int32),
        weights=np.zeros(0, np.float32),
        users=np.arange(num_users, dtype=np.int32),
        num_items=members[0].num_items,
    )
    item = fold_in.item()
    return Factors(fold_in.vectors(everyone, item), item, fold_in)


_FOLD_INS: dict[str, type[FoldIn]] = {
    each.kind: each for each in (MessageSum, LeastSquares, Constant, SideBySide)
}
