"""Cuts a listening history into train, validation and test: none, random, last_n, time, yambda,
given.

First the filters (fewest plays, k-core), then ids without any interaction vanish, then the cut.
Validation is always cut from train, by the same rule or a given one, so test has no say in it.
"""

import dataclasses
import functools
from typing import Any

from jaxrec.data.against import held_out_begins, lowered
from jaxrec.data.cold import cold_counts, leave_out_cold, of_newcomers
from jaxrec.data.interactions import Interactions, Listens, union
from jaxrec.data.known import before_cut, find_known
from jaxrec.data.split_kinds import Parts, cut
from jaxrec.data.split_rules import Rules
from jaxrec.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The parts of a history, which share ids.

    No (user, item) pair is in two of them, but for the kinds `time` and `yambda`: a pair that is
    heard again later is in each part in whose time it was.

    Attributes:
      train: what the model learns from. An id of the maps may have no row here: it is *cold*.
      validation: interactions to choose by, None where none were asked for. Those of cold users
        and items are left out, and counted in `protocol["cold"]`; with `yambda` cold items stay.
      test: interactions to report on, None for the kind `none`. Without cold ones, as above.
      protocol: how the cut was made, ready for JSON: `kind`, `seed`, the fractions, n or moments,
        the filters, and `cold`: for validation and test the users, items and interactions that
        were left out because train doesn't know the user or the item. `known_pairs` counts
        `known`, and `again` the pairs of validation and test that were known before, where there
        are any.
      known: pairs that are masked in every list though nothing is learnt from them: skipped, rated
        low, disliked or left out by another filter (`Listens.known`), or heard too seldom
        (`min_plays`). None of them is in a part, but it may be heard again in a later one. Their
        `timestamp` is when the user came to know the item, None where the history has no times;
        `known_before_cut` has those that an evaluation may mask. None where nothing was left out.
      newcomers: with the kind `time` what users have listened to after the moment whom train
        doesn't know, of items that it knows; None where there is nothing of the kind.
    """

    train: Interactions
    validation: Interactions | None
    test: Interactions | None
    protocol: dict[str, Any]
    known: Interactions | None = None
    newcomers: Interactions | None = None

    def __repr__(self) -> str:
        parts = ("train", "validation", "test")
        sizes = [f"{name} {len(part):,}" for name in parts if (part := getattr(self, name))]
        return f"<Split: {self.protocol.get('kind')}, {', '.join(sizes)}>"

    def known_before_cut(self, part: str) -> Interactions | None:
        """The pairs of `known` that are masked in an evaluation on `validation` or `test`.

        Those from before the cut: by time, from before the moment at which the part
        begins, with `last_n` from before the user's first interaction of the part (none of a user
        without one), else all, as no time parts those kinds.
        """
        held_out = getattr(self, part)
        if self.known is None or held_out is None:
            return None
        validation = part == "validation" and "validation_moment" in self.protocol
        moment = self.protocol.get("validation_moment" if validation else "moment")
        return before_cut(
            self.known, held_out, moment=moment, by_user=self.protocol["kind"] == "last_n"
        )

    def seen_before(self, part: str) -> Interactions:
        """All pairs that are known when a part begins, whether or not they are learnt from."""
        return union(self.parts_before(part))

    def parts_before(self, part: str) -> list[Interactions]:
        """The parts that `seen_before` has the pairs of, some of them in several."""
        parts = [self.train]
        if part == "test" and self.validation is not None:
            parts.append(self.validation)
        if (known := self.known_before_cut(part)) is not None:
            parts.append(known)
        return parts

    @functools.cached_property
    def fingerprints(self) -> dict[str, str | None]:
        """Each part's fingerprint by its name, None where there is no such part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {n: None if part is None else part.fingerprint() for n, part in parts.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Per part: users, items, interactions, and the cold ones left out, ready for JSON.

        `users` and `items` are those with an interaction in the part; `cold_users` and
        `cold_items` those of the part before the cold were left out that train doesn't know;
        `cold_interactions` the interactions left out with them.
        """
        table = {}
        for name in ("train", "validation", "test"):
            part = getattr(self, name)
            if part is not None:
                users, items = part.present()
                table[name] = {
                    "users": int(users.sum()),
                    "items": int(items.sum()),
                    "interactions": len(part),
                    **self.protocol["cold"].get(name, cold_counts(0, 0, 0)),
                }
        return table


def split(listens: Listens, rules: Rules, *, given_test: Listens | None = None) -> Split:
    """Splits a history. The result depends on the arguments alone, not on the order of the rows.

    Args:
      listens: the history; for `given` its train part.
      rules: how it is cut.
      given_test: for `given`, the test part; its ids need not be numbered as those of `listens`.

    Raises:
      UserError: a kind that needs timestamps on a history without, filters or a cut that leave
        train, or a part asked for, empty.
    """
    kind = rules.kind
    parts = cut(listens, given_test, rules)
    if listens.against is not None:
        parts = _lowered(parts, listens.against, rules)
    known = find_known(listens, parts.left_out, [parts.train, parts.validation, parts.test])
    protocol: dict[str, Any] = {"kind": kind, "seed": rules.seed, **parts.protocol}
    protocol["known_pairs"] = 0 if known is None else len(known)
    held_out = {"validation": parts.validation, "test": parts.test}
    warm: dict[str, Interactions | None] = dict(held_out)
    protocol["cold"] = {}
    for name, part in held_out.items():
        if part is not None:
            warm[name], protocol["cold"][name] = leave_out_cold(
                part, parts.train, items_too=kind != "yambda"
            )
    newcomers = of_newcomers(parts.test, parts.train) if kind == "time" and parts.test else None
    result = Split(train=parts.train, **warm, protocol=protocol, known=known, newcomers=newcomers)
    check_not_empty(result)
    if "moment" in protocol:
        protocol["again"] = {
            name: int(part.among(result.seen_before(name)).sum())
            for name, part in warm.items()
            if part is not None
        }
    return result


def _lowered(parts: Parts, against: Listens, rules: Rules) -> Parts:
    """The parts with what speaks against an item taken off train."""
    train, protocol = parts.train, parts.protocol
    begins = held_out_begins(
        train.num_users,
        (parts.validation, parts.test),
        moment=protocol.get("validation_moment", protocol.get("moment")),
        by_user=rules.kind == "last_n",
    )
    fewer = lowered(train, against, plays=rules.against_plays, begins=begins)
    told = {"plays": rules.against_plays, "pairs_left_out": len(train) - len(fewer)}
    return dataclasses.replace(parts, train=fewer, protocol={**protocol, "against": told})


def check_not_empty(result: Split) -> None:
    """Refuses a split of which a part is empty.

    Raises:
      UserError: a part has no interaction.
    """
    kind = result.protocol["kind"]
    for name in ("train", "validation", "test"):
        part = getattr(result, name)
        if part is not None and not len(part):
            cold = result.protocol["cold"].get(name, {}).get("cold_interactions", 0)
            why = f" but for {cold:,} of users or items that train doesn't know" if cold else ""
            raise UserError(
                f"config.data.split is {kind!r}: the {name} part is empty{why}; expected at least "
                "one interaction in each part"
            )
