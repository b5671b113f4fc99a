"""What is measured during a run and at its end, on whom, and beside what."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions, union
from jaxrec.data.options import SeenRule
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models import popularity
from jaxrec.models.histories import Histories
from jaxrec.models.method import Show, unseen
from jaxrec.models.model import Model
from jaxrec.rank.definitions import definitions_of
from jaxrec.rank.evaluate import Evaluation, choose_users, drawn_users, evaluate
from jaxrec.rank.seen import Seen

Part = Literal["reconstruction", "validation", "test"]


class Measure:
    """The evaluations of one run: the same users, parts and protocol from epoch to epoch.

    Attributes:
      config: the run's.
      settings: its `eval`, which says what is measured.
      split: the parts to measure on.
      seed: chooses the users of the per-epoch evaluations.
      histories: every user's history in train, by which a model ranks.
      definitions: of the metrics.
      held_out: the part that is watched during the run, or None.
      watched: what the metric to choose by is called in a row of `at_epoch`.
    """

    def __init__(self, config: RunConfig, split: Split, *, peek: bool = True) -> None:
        """Makes ready to measure.

        Args:
          config: says what is measured, on which users from epoch to epoch, and how the
            interactions of histories are weighed.
          split: the parts to measure on.
          peek: whether test is watched during the run where there is no validation part.
        """
        self.config, self.settings = config, config.eval
        self.split = split
        self.seed = config.seed
        self.histories = histories_of(split.train, config)
        self.definitions = definitions_of(split.protocol)
        watchable: tuple[Part, ...] = ("validation", "test") if peek else ("validation",)
        self.held_out = next((part for part in watchable if self._has(part)), None)
        self.watched = f"validation/{config.eval.metric}"
        self._found: dict[tuple[Part, SeenRule], Interactions] = {}
        self._seen: dict[Part, Interactions] = {}

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
        self,
        part: Part,
        model: Model,
        ks: Sequence[int],
        show: Show = unseen,
        *,
        seen: SeenRule | None = None,
    ) -> Evaluation:
        """All metrics on all users with something to be found in the part, or `eval.most_users`.

        Args:
          part: what to measure on.
          model: what to rank with.
          ks: list lengths.
          show: shows how far it is.
          seen: whether what was known counts; None for `eval.seen`.

        Raises:
          UserError: nothing is to be found.
        """
        relevant = self._relevant(part, seen or self.settings.seen)
        users, drawn = drawn_users(relevant, self.settings.most_users)
        found = self._evaluate(part, model, ks, users, show, seen)
        return dataclasses.replace(found, protocol=found.protocol | drawn)

    def score(self, part: Part, model: Model) -> float:
        """The watched metric on all users with an interaction in the part."""
        return self._watched(part, model, users=None)

    def relevant(self, part: Part) -> Interactions:
        """What is to be found of a part, by the rule of `eval.seen`."""
        return self._relevant(part, self.settings.seen)

    def seen(self, part: Part, users: np.ndarray) -> Seen | None:
        """What some users' lists leave out for a part or, by the rule, have nothing else but."""
        rule = self.settings.seen
        if part == "reconstruction" or rule == "include":
            return None
        return Seen.of_users(self._seen_before(part), users, only=rule == "only")

    def _has(self, part: Part) -> bool:
        return part == "reconstruction" or getattr(self.split, part) is not None

    def _of_few(self, part: Part, model: Model) -> float:
        users = choose_users(self.relevant(part), count=self.settings.users, seed=self.seed)
        return self._watched(part, model, users)

    def _watched(self, part: Part, model: Model, users: np.ndarray | None) -> float:
        metric = self.settings.metric
        cutoff = int(metric.partition("@")[2])
        return self._evaluate(part, model, (cutoff,), users).means()[metric]

    def has_again(self, part: Part) -> bool:
        """Whether a part has pairs that were known before, so that the views of it differ."""
        return part != "reconstruction" and self.has_any(part, "only")

    def has_any(self, part: Part, seen: SeenRule) -> bool:
        """Whether there is anything to be found by a rule for what was known before."""
        return len(self._relevant(part, seen)) > 0

    def _relevant(self, part: Part, seen: SeenRule) -> Interactions:
        """What is to be found of a part: all of it, what is new, or what was known before."""
        if part == "reconstruction":
            return self.split.train
        if (part, seen) not in self._found:
            whole: Interactions = getattr(self.split, part)
            self._found[part, seen] = _found(whole, self._seen_before(part), seen)
        return self._found[part, seen]

    def _evaluate(
        self,
        part: Part,
        model: Model,
        ks: Sequence[int],
        users: np.ndarray | None,
        show: Show = unseen,
        seen: SeenRule | None = None,
    ) -> Evaluation:
        rule = seen or self.settings.seen
        relevant = self._relevant(part, rule)
        if len(relevant) == 0:
            raise _nothing_found(part, rule)
        masked = part != "reconstruction" and rule != "include"
        return evaluate(
            model,
            histories=self.histories,
            relevant=relevant,
            seen=self._seen_before(part) if masked else None,
            only=masked and rule == "only",
            train=self.split.train,
            ks=ks,
            users=users,
            memory_budget_mb=self.settings.memory_budget_mb,
            definitions=self.definitions,
            show=show,
            protocol={
                "part": part,
                "seen": rule,
                "data_sha256": self.split.fingerprints,
                "split": self.split.protocol,
            },
        )

    def _seen_before(self, part: Part) -> Interactions:
        """What users knew before a part."""
        if part not in self._seen:
            self._seen[part] = self.split.seen_before(part)
        return self._seen[part]


def check_found(split: Split, rule: SeenRule) -> None:
    """Sees to it that what is held out can be measured, before anything is fitted.

    Args:
      split: the parts.
      rule: for what was known before, as `eval.seen`.

    Raises:
      UserError: nothing is to be found in validation or in test by the rule, or the rule isn't the
        one that the split is for.
    """
    if split.protocol["kind"] == "yambda" and rule != "include":
        raise UserError(
            f"config.data.split is 'yambda' and config.eval.seen is {rule!r}; expected "
            "config.eval.seen=include: that benchmark masks nothing (config.data.split=time takes "
            "any rule)"
        )
    parts: tuple[Part, ...] = ("validation", "test")
    for part in parts:
        whole: Interactions | None = getattr(split, part)
        if whole is not None and not _has_any(whole, split.parts_before(part), rule):
            raise _nothing_found(part, rule)


def is_found(split: Split, rule: SeenRule) -> bool:
    """Whether `check_found` has nothing to say."""
    try:
        check_found(split, rule)
    except UserError:
        return False
    return True


def _found(whole: Interactions, before: Interactions, rule: SeenRule) -> Interactions:
    """What is to be found of a part: all of it, what is new, or what was known before."""
    if rule == "include":
        return whole
    known = whole.among(before)
    return whole.select(known if rule == "only" else ~known)


def _has_any(whole: Interactions, before: Sequence[Interactions], rule: SeenRule) -> bool:
    """Whether `_found` has anything: asked of some users at a time, of whom mostly the first do."""
    if rule == "include":
        return len(whole) > 0
    return any((known == (rule == "only")).any() for known in whole.among_any(before))


def _nothing_found(part: Part, rule: SeenRule) -> UserError:
    if rule == "only":
        return UserError(
            f"config.eval.seen is 'only' and none of the {part} part was known before; expected "
            "exclude, or config.data.split=time and a history in which users come back"
        )
    return UserError(
        f"config.eval.seen is {rule!r} and everything in the {part} part was known before; "
        "expected config.eval.seen=include, or only for what is heard again"
    )


def histories_of(train: Interactions, config: RunConfig) -> Histories:
    """Every user's history, weighed as lists are made by."""
    return Histories.of_all(train, config.ranking_weights, learnt=config.learnt_weights)


def all_heard(split: Split) -> Interactions:
    """Everything that users have listened to, whichever part it went to."""
    parts = (split.train, split.validation, split.test)
    return union([part for part in parts if part is not None])


def all_seen(split: Split) -> Interactions:
    """Everything that users know: what they have listened to, and what nothing is learnt from."""
    heard = all_heard(split)
    return heard if split.known is None else union([heard, split.known])


def seen_by_rule(split: Split, rule: SeenRule) -> Interactions | None:
    """What lists leave out by a rule or, by `only`, what they have nothing else but."""
    if rule == "include":
        return None
    return all_heard(split) if rule == "only" else all_seen(split)
