"""How good lists are for users who came after training, by what they listened to first."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jaxrec.config import RunConfig
from jaxrec.data.cold import first_of_each_user
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.method import Show, unseen
from jaxrec.models.model import Model
from jaxrec.rank.asked import gather
from jaxrec.rank.evaluate import Evaluation, drawn_users, evaluate

VIEW: Literal["new"] = "new"  # what their figures are called beside those of other views


@dataclasses.dataclass(frozen=True, eq=False)
class Newcomers:
    """Users who came after the moment, with at least two items that train knows.

    Attributes:
      config: says how their histories are weighed.
      split: what was known at the moment.
      users: [n] int32, the users.
      known: their first items, by which they are ranked.
      relevant: the others, which are to be found.
    """

    config: RunConfig
    split: Split
    users: np.ndarray
    known: Interactions
    relevant: Interactions

    @classmethod
    def of(cls, split: Split, config: RunConfig) -> "Newcomers | None":
        """Those of a split, by `config.eval.cold`; None where they are left out.

        Raises:
          UserError: they are to be measured and there are none.
        """
        if config.eval.cold == "leave_out":
            return None
        if split.newcomers is None:
            raise _nobody(config)
        first = first_of_each_user(split.newcomers, config.eval.cold_history)
        users = np.unique(split.newcomers.user[first]).astype(np.int32)
        if len(users) == 0:
            raise _nobody(config)
        known, rest = split.newcomers.select(first), split.newcomers.select(~first)
        relevant = rest.select(np.isin(rest.user, users))
        return cls(config, split, users, _before(known, relevant), relevant)

    def histories(self) -> Histories:
        """Every user's: of these their first items, as of `recommend --histories`."""
        fresh = Split(self.known, None, None, {"kind": "none"})
        return gather(self.split, self.config, fresh, "exclude").asked.histories

    def measure(self, model: Model, ks: Sequence[int], show: Show = unseen) -> Evaluation:
        """All metrics on all of them, or `eval.most_users`, what they know masked.

        Args:
          model: what ranks.
          ks: list lengths.
          show: shows how far it is.
        """
        drawn, how = drawn_users(self.relevant, self.config.eval.most_users)
        fingerprints = {"newcomers": self.known.fingerprint(), "test": self.relevant.fingerprint()}
        return evaluate(
            model,
            histories=self.histories(),
            relevant=self.relevant,
            seen=self.known,
            train=self.split.train,
            ks=ks,
            users=self.users if drawn is None else drawn,
            memory_budget_mb=self.config.eval.memory_budget_mb,
            show=show,
            protocol={
                "part": "test",
                "seen": VIEW,
                "history": f"the first {self.config.eval.cold_history:.0%} of a user's items",
                "data_sha256": self.split.fingerprints | fingerprints,
                "split": self.split.protocol,
                **how,
            },
        )


def _before(known: Interactions, relevant: Interactions) -> Interactions:
    """What is known without the listens of after what is to be found: nothing of the future."""
    assert relevant.timestamp is not None
    begin = np.full(known.num_users, np.iinfo(np.int64).max)
    np.minimum.at(begin, relevant.user, relevant.timestamp)
    events = known.listens()
    keep = events.timestamp < begin[known.user[events.pairs()]]
    keep[events.offsets[:-1]] = True  # at one time with what is to be found
    return known.where(keep, until=None)


def _nobody(config: RunConfig) -> UserError:
    kind = config.data.split
    why = "nobody came after the moment with two songs that train knows"
    if kind != "time":
        why = f"config.data.split is {kind!r}, which knows no moment to come after"
    return UserError(
        f"config.eval.cold is 'fold_in' and {why}; expected config.eval.cold=leave_out"
    )
