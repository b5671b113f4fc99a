"""The kinds of models, as `jaxrec.models` has them, for one history at a time and in NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxrec.errors import UserError
from jaxrec.serve.fold_in import CONSTANT, FoldIn, SideBySide, fold_in_of
from jaxrec.serve.history import History

TINY = np.finfo(np.float32).tiny
Rest = dict[str, np.ndarray]  # by name, [k] float32


class Model(Protocol):
    """What ranks; see `jaxrec.models.model.Model`."""

    def scores(self, history: History) -> np.ndarray:
        """Every item's: [num_items] float32."""

    def contributions(self, history: History, items: np.ndarray) -> tuple[np.ndarray, Rest]:
        """What each entry brings to some items' scores [n, k], and what else does."""

    def similarities(self, item: int) -> np.ndarray:
        """How near every item is to one: [num_items] float32."""


class Factors:
    """Scores <e_u, e_j>."""

    def __init__(
        self, user: np.ndarray, item: np.ndarray, fold_in: FoldIn, *, unit_users: bool
    ) -> None:
        self._user, self.item = user, item
        self._fold_in, self._unit_users = fold_in, unit_users
        self._lengths = np.maximum(np.sqrt(np.einsum("nd,nd->n", item, item)), TINY)

    def vector(self, history: History) -> np.ndarray:
        """e_u: [dim] float32."""
        raw = self._raw(history)
        return raw / self._length(raw)

    def parts(self, history: History) -> np.ndarray:
        """What each entry brings to e_u: [n, dim] float32."""
        return self._fold_in.parts(history) / self._length(self._raw(history))

    def scores(self, history: History) -> np.ndarray:
        """Every item's: [num_items] float32."""
        return self.item @ self.vector(history)

    def contributions(self, history: History, items: np.ndarray) -> tuple[np.ndarray, Rest]:
        """The rest is what the user's own parameters do, or the items' popularity."""
        parts, chosen = self.parts(history), self.item[items]
        own = self.vector(history) - parts.sum(axis=0)
        name = "popularity" if self._fold_in.constant else "own"
        return parts @ chosen.T, {name: chosen @ own}

    def similarities(self, item: int) -> np.ndarray:
        """The cosine, or a blend's."""
        if isinstance(self._fold_in, SideBySide):
            return _blended(self._fold_in.members, self._fold_in.weights, item)
        return (self.item @ self.item[item]) / (self._lengths * self._lengths[item])

    def _raw(self, history: History) -> np.ndarray:
        if history.user >= 0:
            return self._user[history.user]
        return self._fold_in.vector(history)

    def _length(self, raw: np.ndarray) -> np.float32:
        return np.float32(max(np.linalg.norm(raw), TINY) if self._unit_users else 1)


class ItemWeights:
    """Scores x B / |x| + b; B's rows are compressed (`offsets`, `targets`, `values`) or dense."""

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        step_exponent: float | None,
    ) -> None:
        self._dense, self._bias = arrays.get("weights"), arrays.get("bias")
        self._metric = arrays.get("metric")
        self._step_exponent = step_exponent
        if self._dense is None:
            self._offsets, self._targets = arrays["offsets"], arrays["targets"]
            self._values = arrays["values"]
        self._num_items = len(self._offsets) - 1 if self._dense is None else len(self._dense)

    def scores(self, history: History) -> np.ndarray:
        """Every item's: [num_items] float32."""
        start = self._start(history)
        if self._dense is not None:
            scores = start @ self._dense[history.items]
        else:
            targets, values, counts = self._rows_of(history)
            weighted = values * np.repeat(start, counts)
            scores = np.bincount(targets, weighted, self._num_items).astype(np.float32)
        if self._metric is not None:
            scores /= self._length(history, start, scores[history.items])
        return scores if self._bias is None else scores + self._bias

    def contributions(self, history: History, items: np.ndarray) -> tuple[np.ndarray, Rest]:
        """An entry's weight times what it says of each item; the rest is popularity."""
        start = self._start(history)
        rest = {} if self._bias is None else {"popularity": self._bias[items]}
        if self._metric is None:
            return start[:, None] * self._entries(history, items), rest
        entries = self._entries(history, np.concatenate([items, history.items]))
        own = start @ entries[:, len(items) :]
        start = start / self._length(history, start, own)
        return start[:, None] * entries[:, : len(items)], rest

    def _length(self, history: History, start: np.ndarray, own: np.ndarray) -> np.float32:
        """|x|, by what the history says of its own items."""
        assert self._metric is not None
        square = float(np.sum(own * self._metric[history.items] * start, dtype=np.float64))
        return np.float32(square**0.5 if square > 0 else 1.0)

    def _entries(self, history: History, items: np.ndarray) -> np.ndarray:
        """What the history's items say of some, which may be named twice: [n, k] float32."""
        if self._dense is not None:
            return self._dense[history.items[:, None], items]
        targets, values, counts = self._rows_of(history)
        distinct, place_of = np.unique(items, return_inverse=True)
        column = np.full(self._num_items, -1, np.int32)
        column[distinct] = np.arange(len(distinct), dtype=np.int32)
        place = column[targets]
        wanted = np.flatnonzero(place >= 0)
        row = np.repeat(np.arange(len(counts)), counts)
        entries = np.zeros((len(counts), len(distinct)), np.float32)
        entries[row[wanted], place[wanted]] = values[wanted]
        return entries[:, place_of]

    def similarities(self, item: int) -> np.ndarray:
        """What one item says of every other."""
        if self._dense is not None:
            return self._dense[item]
        targets, values, _ = self._rows(np.array([item]))
        found = np.zeros(self._num_items, np.float32)
        found[targets] = values
        return found

    def _start(self, history: History) -> np.ndarray:
        """x's entries: [n] float32."""
        if self._step_exponent is None or len(history.items) == 0:
            return history.weights
        return (history.weights / history.weights.sum()) ** np.float32(self._step_exponent)

    def _rows_of(self, history: History) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows of the history's items."""
        if self not in history.solved:
            history.solved[self] = self._rows(history.items)
        found: tuple[np.ndarray, np.ndarray, np.ndarray] = history.solved[self]
        return found

    def _rows(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some rows of B: all their targets and values, and how many each has."""
        begins, ends = self._offsets[items], self._offsets[items + 1]
        slices = list(map(slice, begins.tolist(), ends.tolist())) or [slice(0)]
        targets = np.concatenate([self._targets[each] for each in slices])
        values = np.concatenate([self._values[each] for each in slices])
        return targets, values, (ends - begins).astype(np.int64)


class Blend:
    """The weighted sum of several models' scores."""

    def __init__(
        self, members: Sequence[Model], weights: Sequence[float], known: np.ndarray | None
    ) -> None:
        self._members, self._weights, self._known = members, weights, known

    def scores(self, history: History) -> np.ndarray:
        """Every item's: [num_items] float32."""
        total: np.ndarray | np.float32 = np.float32(0)
        for member, weight in zip(self._members, self._weights, strict=True):
            own = member.scores(history)
            centre, factor = self._scale(own, weight)
            total = total + factor * (own - centre if centre else own)
        return np.asarray(total)

    def contributions(self, history: History, items: np.ndarray) -> tuple[np.ndarray, Rest]:
        """The members', with each member's scale held fixed; their means are `scale`."""
        entries, rest = np.zeros((len(history.items), len(items)), np.float32), Rest()
        for member, weight in zip(self._members, self._weights, strict=True):
            own, parts = member.contributions(history, items)
            factor = np.float32(weight)
            if self._known is not None:
                centre, factor = self._scale(member.scores(history), weight)
                parts["scale"] = parts.get("scale", 0.0) - np.full(len(items), centre)
            entries += factor * own
            for name, part in parts.items():
                rest[name] = rest.get(name, 0.0) + factor * part
        return entries, rest

    def similarities(self, item: int) -> np.ndarray:
        """The members', each divided by its deviation."""
        return _blended(self._members, self._weights, item)

    def _scale(self, scores: np.ndarray, weight: float) -> tuple[np.float32, np.float32]:
        """What is subtracted from a member's scores, and what they are multiplied by then."""
        if self._known is None:
            return np.float32(0), np.float32(weight)
        known = scores[self._known]
        size = np.abs(known).max(initial=0)
        parts = known / (size if size > 0 else np.float32(1))
        centre = parts.mean() if len(parts) else np.float32(0)
        spread = np.sqrt(np.mean(np.square(parts - centre))) if len(parts) else 0
        factor = weight / (size * spread) if spread > CONSTANT else 0.0
        return np.float32(size * centre), np.float32(factor)


def _blended(members: Sequence[Model], weights: Sequence[float], item: int) -> np.ndarray:
    """The members' similarities, each divided by its deviation over the items, weighted."""
    total: np.ndarray | np.float32 = np.float32(0)
    for member, weight in zip(members, weights, strict=True):
        own = member.similarities(item)
        spread = float(own.std())
        if spread > CONSTANT * float(np.abs(own).max(initial=0)):
            total = total + np.float32(weight / spread) * own
    return np.broadcast_to(total, own.shape)


def model_of(kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Model:
    """The model that a bundle tells of.

    Raises:
      UserError: it is of a kind, or has a setting, that this version can't score by.
    """
    try:
        return _MAKERS[kind](arrays, settings)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the bundle's model is of kind {kind!r}, with {error} that can't be used; expected "
            f"one of {', '.join(KINDS)}, as `export` of this version writes it"
        ) from error


def _factors(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Factors:
    own, told = _part(arrays, "fold_in"), settings["fold_in_settings"]
    fold_in: FoldIn
    if settings["fold_in"] == "side_by_side":
        members = [
            _factors(_part(own, str(number)), each) for number, each in enumerate(told["members"])
        ]
        fold_in = SideBySide(members, told["weights"], own["known"])
    else:
        fold_in = fold_in_of(settings["fold_in"], own, told, arrays["item"])
    return Factors(arrays["user"], arrays["item"], fold_in, unit_users=settings["unit_users"])


def _blend(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Blend:
    members = [
        model_of(kind, _part(arrays, str(number)), own)
        for number, (kind, own) in enumerate(
            zip(settings["kinds"], settings["members"], strict=True)
        )
    ]
    return Blend(members, settings["weights"], arrays.get("known"))


KINDS = ("factors", "item_weights", "blend")
_MAKERS: dict[str, Any] = {
    "factors": _factors,
    "item_weights": lambda arrays, settings: ItemWeights(arrays, **settings),
    "blend": _blend,
}


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix.`, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: each for name, each in arrays.items() if name.startswith(start)}
