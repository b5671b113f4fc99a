"""What is measured during a run and at its end, on whom, and beside what."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from jaxrec.config import EvalConfig
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight
from jaxrec.data.splits import Split
from jaxrec.models import popularity
from jaxrec.models.histories import Histories
from jaxrec.models.method import Show, unseen
from jaxrec.models.model import Model
from jaxrec.rank.evaluate import Evaluation, choose_users, evaluate

Part = Literal["reconstruction", "validation", "test"]


class Measure:
    """The evaluations of one run: the same users, parts and protocol from epoch to epoch.

    Attributes:
      settings: says what is measured.
      split: the parts to measure on.
      seed: chooses the users of the per-epoch evaluations.
      histories: every user's history in train, by which a model ranks.
      held_out: the part that is watched during the run, or None.
      watched: what the metric to choose by is called in a row of `at_epoch`.
    """

    def __init__(
        self, settings: EvalConfig, split: Split, *, seed: int, weight: Weight, peek: bool = True
    ) -> None:
        """Makes ready to measure.

        Args:
          settings: says what is measured.
          split: the parts to measure on.
          seed: chooses the users of the per-epoch evaluations.
          weight: an entry's weight in a history from its plays, as of `edge_weight`.
          peek: whether test is watched during the run where there is no validation part.
        """
        self.settings = settings
        self.split = split
        self.seed = seed
        self.histories = Histories.of_all(split.train, weight)
        watchable: tuple[Part, ...] = ("validation", "test") if peek else ("validation",)
        self.held_out = next((part for part in watchable if self._has(part)), None)
        self.watched = f"validation/{settings.metric}"

    @property
    def final_part(self) -> Part:
        """What is reported on: test where there is one, else validation, else reconstruction."""
        return "test" if self._has("test") else self.held_out or "reconstruction"

    def at_epoch(self, model: Model) -> dict[str, float]:
        """The watched metric on a few random users, by `<part>/<metric>`."""
        parts: list[Part] = ["reconstruction"]
        if self.held_out is not None:
            parts.append(self.held_out)
        return {f"{part}/{self.settings.metric}": self._of_few(part, model) for part in parts}

    def most_popular_at_epoch(self) -> float | None:
        """The most-popular list's held-out metric on the users of `at_epoch`, or None."""
        if self.held_out is None:
            return None
        return self._of_few(self.held_out, self.most_popular())

    def most_popular(self) -> Model:
        """A model that ranks by the number of users, for the same code to measure."""
        return popularity.fit(self.histories.matrix())

    def out_of_patience(self, scores: Sequence[float]) -> bool:
        """Whether the last `eval.patience` of the watched metric's values brought no better one."""
        patience = self.settings.patience
        return bool(patience and scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience

    def of_all(
        self, part: Part, model: Model, ks: Sequence[int], show: Show = unseen
    ) -> Evaluation:
        """All metrics on all users with an interaction in the part.

        Args:
          part: what to measure on.
          model: what to rank with.
          ks: list lengths.
          show: shows how far it is.
        """
        return self._evaluate(part, model, ks, None, show)

    def score(self, part: Part, model: Model) -> float:
        """The watched metric on all users with an interaction in the part."""
        return self._watched(part, model, users=None)

    def _has(self, part: Part) -> bool:
        return part == "reconstruction" or getattr(self.split, part) is not None

    def _of_few(self, part: Part, model: Model) -> float:
        users = choose_users(self._relevant(part), count=self.settings.users, seed=self.seed)
        return self._watched(part, model, users)

    def _watched(self, part: Part, model: Model, users: np.ndarray | None) -> float:
        metric = self.settings.metric
        cutoff = int(metric.partition("@")[2])
        return self._evaluate(part, model, (cutoff,), users).means()[metric]

    def _relevant(self, part: Part) -> Interactions:
        relevant: Interactions = getattr(self.split, "train" if part == "reconstruction" else part)
        return relevant

    def _evaluate(
        self,
        part: Part,
        model: Model,
        ks: Sequence[int],
        users: np.ndarray | None,
        show: Show = unseen,
    ) -> Evaluation:
        seen = None if part == "reconstruction" else self._seen_before(part)
        return evaluate(
            model,
            histories=self.histories,
            relevant=self._relevant(part),
            seen=seen,
            train=self.split.train,
            ks=ks,
            users=users,
            memory_budget_mb=self.settings.memory_budget_mb,
            show=show,
            protocol={
                "part": part,
                "data_sha256": self.split.fingerprints,
                "split": self.split.protocol,
            },
        )

    def _seen_before(self, part: Part) -> Interactions:
        """What users knew before a part: that isn't to be found again, so it is masked."""
        seen = self.split.train
        if part == "test" and self.split.validation is not None:
            seen = union(seen, self.split.validation)
        known = self.split.known_before_cut(part)
        return seen if known is None else union(seen, known)


def union(first: Interactions, second: Interactions) -> Interactions:
    """The interactions of two parts of one split, in order; no pair is in both."""
    user, item = (
        np.concatenate([getattr(first, side), getattr(second, side)]) for side in ("user", "item")
    )
    order = np.lexsort((item, user))
    return Interactions(
        user=user[order],
        item=item[order],
        plays=np.concatenate([first.plays, second.plays])[order],
        timestamp=None,
        users=first.users,
        items=first.items,
    )


def all_seen(split: Split) -> Interactions:
    """Everything that users know, whichever part it went to, and what nothing is learnt from."""
    seen = split.train
    for part in (split.validation, split.test, split.known):
        if part is not None:
            seen = union(seen, part)
    return seen
