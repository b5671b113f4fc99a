"""Lists, likeness and reasons from a bundle, by internal indices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data.names import first_of_each
from jaxrec.data.weighting import DAY, LEAST, Weighting, edge_weight
from jaxrec.serve.bundle import Bundle, bundle_id, read_bundle
from jaxrec.serve.history import UNKNOWN, History
from jaxrec.serve.ids import Ids, Names
from jaxrec.serve.models import model_of

FIRST_LOOK = 4  # times as many items as are wanted are looked through first for a limit


class Scorer:
    """A bundle ready to answer; never changed, so any number of threads may ask it.

    Args:
      bundle: what to answer by.
      bundle_id: what tells it from other bundles.

    Raises:
      UserError: its model can't be used.
    """

    def __init__(self, bundle: Bundle, bundle_id: str) -> None:
        self.about, self.bundle_id = bundle.about, bundle_id
        self.items = Ids(bundle.items["id"].combine_chunks())
        self.users = Ids(bundle.users["id"].combine_chunks())
        self.item_users = bundle.histories["users"]
        self.names = Names(bundle.items, self.item_users)
        self._histories = bundle.histories
        self._ranking = Weighting(bundle.about["weight"], bundle.about["half_life_days"])
        self._learnt = Weighting(**bundle.about["learnt"])
        self._model = model_of(bundle.about["kind"], bundle.model, bundle.about["settings"])
        self.is_listed = bundle.histories["listed"]
        self._unlisted = np.flatnonzero(~self.is_listed)
        if len(self.items):  # what is found out once is found out now, not by the first who asks
            some = np.flatnonzero(self.is_listed)[:1].astype(np.int32)
            self.top(History(some, np.ones(len(some), np.float32)), k=1, hidden=some)

    @classmethod
    def load(cls, folder: str | Path) -> "Scorer":
        """Opens the bundle in a folder.

        Raises:
          UserError: there is none, it is damaged, or it can't be used.
        """
        return cls(read_bundle(Path(folder)), bundle_id(Path(folder)) or "")

    def are_listed(self, items: np.ndarray) -> np.ndarray:
        """Whether each is an item, not -1, and one that may be listed: [n] bool."""
        return np.asarray((items >= 0) & self.is_listed[items])

    def history_of(self, user: int) -> History:
        """What a user of the bundle has listened to."""
        rows = slice(*self._histories["offsets"][user : user + 2].tolist())
        return History(self._histories["items"][rows], self._histories["weights"][rows], user)

    def seen_by(self, user: int) -> np.ndarray:
        """All that a user of the bundle knows: [n] int32."""
        rows = slice(*self._histories["seen_offsets"][user : user + 2].tolist())
        return np.asarray(self._histories["seen_items"][rows])

    def history(
        self, items: np.ndarray, plays: np.ndarray, times: np.ndarray | None = None
    ) -> History:
        """Somebody new's, weighed as in training; plays of an item that is named twice add up.

        Args:
          items: [n] int, which may be listed.
          plays: [n], above 0.
          times: [n] seconds since 1970, NaN where one isn't known and the latest is assumed; they
            count where the model weighs listens by their age, from the latest of them.
        """
        distinct, place = np.unique(items, return_inverse=True)
        distinct = distinct.astype(np.int32)
        weights = _weigh(place, plays, times, self._ranking)
        if self._learnt == self._ranking:
            return History(distinct, weights)
        learnt = _weigh(place, plays, times, self._learnt)
        # Shared out anew, as in training.
        scale = learnt.sum(dtype=np.float64) / max(weights.sum(dtype=np.float64), LEAST)
        return History(distinct, (weights * scale).astype(np.float32), UNKNOWN, learnt)

    def top(
        self,
        history: History,
        *,
        k: int,
        hidden: np.ndarray | Sequence[int] = (),
        among: np.ndarray | None = None,
        per_artist: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best k items, of equally good ones the lower index first.

        Args:
          history: whose.
          k: how many; fewer where there are fewer.
          hidden: items that are left out.
          among: [n] int, distinct items that may be listed; None for all.
          per_artist: items of one artist at the most; None for any number.

        Returns:
          items [<= k] int, scores [<= k] float32.
        """
        scores = np.array(self._model.scores(history), np.float32)
        scores[self._unlisted] = -np.inf
        scores[np.asarray(hidden, np.int64)] = -np.inf
        if among is not None:
            kept = scores[among]
            scores = np.full(len(scores), -np.inf, np.float32)
            scores[among] = kept
        return _best(scores, k) if per_artist is None else self._limited(scores, k, per_artist)

    def _limited(self, scores: np.ndarray, k: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The best k with so many of an artist at the most, looking further down until there."""
        width = FIRST_LOOK * k
        while True:
            items, own = _best(scores, width)
            kept = first_of_each(self.names.artist_numbers[items][None], most)[0]
            if kept.sum() >= k or len(items) < width:
                return items[kept][:k], own[kept][:k]
            width *= 2

    def contributions(
        self, history: History, items: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What each entry of a history brings to some items' scores, and what else does.

        Returns:
          [n, k] float32, and by name [k] float32; all of it adds up to the scores.
        """
        return self._model.contributions(history, items)

    def similar(self, item: int, *, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k items nearest to one: items [<= k] int, similarities [<= k] float32."""
        similarities = np.array(self._model.similarities(item), np.float32)
        similarities[self._unlisted] = -np.inf
        similarities[item] = -np.inf
        return _best(similarities, k)

    def describe(self) -> dict[str, Any]:
        """What the bundle is, for people."""
        return {
            "bundle": self.bundle_id,
            "method": self.about["method"],
            "songs": int(self.is_listed.sum()),
            "listeners": len(self.users),
            "part": self.about["part"],
            "metrics": self.about["metrics"],
            "has_names": self.names.any_named,
        }


def _weigh(
    place: np.ndarray, plays: np.ndarray, times: np.ndarray | None, weighting: Weighting
) -> np.ndarray:
    """As `weighting.weigh` does from the last listen: [number of places] float32."""
    count = int(place.max(initial=-1)) + 1
    decay = np.ones(len(place))
    if weighting.half_life_days is not None and times is not None and not np.isnan(times).all():
        ages = np.nan_to_num(np.nanmax(times) - times) / (weighting.half_life_days * DAY)
        decay = np.exp2(-ages)
    if weighting.half_life_days is not None and weighting.plays == "binary":
        weights = np.zeros(count)  # the latest listen of each counts alone
        np.maximum.at(weights, place, decay)
    else:
        weights = edge_weight(np.bincount(place, plays * decay, count), weighting.plays)
    return np.maximum(weights, LEAST).astype(np.float32)


def _best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k greatest above -inf, of equal ones the lower index first."""
    k = min(k, len(scores))
    if k == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    found = np.flatnonzero((scores >= least) & (scores > -np.inf))
    if len(found) > k:  # of those that tie for the last places the first
        above = np.flatnonzero(scores > least)
        ties = np.flatnonzero(scores == least)[: k - len(above)]
        found = np.sort(np.concatenate([above, ties]))
    order = np.argsort(-scores[found], kind="stable")
    return found[order], scores[found[order]]
