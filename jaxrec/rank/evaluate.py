"""How good a model is: every candidate ranked for every user, against what is relevant.

*held-out*: relevant is a part the model never saw, and what it saw is masked. *reconstruction*:
relevant is the training part itself, and nothing is masked.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.method import Show, unseen
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users, popularity_rank
from jaxrec.rank.definitions import USUAL, Definitions
from jaxrec.rank.metrics import BEYOND_ACCURACY_DEFINITIONS, beyond_accuracy, bootstrap_intervals
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import MEMORY_BUDGET_MB, top_k

DRAWN_BY = 0  # the seed by which users are drawn at the end: one for all runs, to compare them


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one ranking, with all that is needed to read them.

    Attributes:
      per_user: `recall@10` and so on: [n] float64, in the order of `users`.
      users: [n] int32, the users measured.
      beyond: `coverage@10` and so on, one figure over all lists.
      protocol: what the caller passed, and `users`, `candidates`, `masked`, `ks`, `ties`,
        `metrics` (a definition of each): ready for JSON.
    """

    per_user: dict[str, np.ndarray]
    users: np.ndarray
    beyond: dict[str, float]
    protocol: dict[str, Any]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {mean:.4f}" for name, mean in self.means().items())
        return f"<Evaluation: {len(self.users):,} users, {shown}>"

    def means(self) -> dict[str, float]:
        """Each metric's mean over the users."""
        return {name: float(values.mean()) for name, values in self.per_user.items()}

    def summary(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Each metric's `mean` with `low` and `high`, the ends of its 95% bootstrap interval."""
        intervals = bootstrap_intervals(self.per_user, seed=seed)
        return {
            name: {"mean": mean, "low": intervals[name][0], "high": intervals[name][1]}
            for name, mean in self.means().items()
        }


def evaluate(
    model: Model,
    *,
    histories: Histories,
    relevant: Interactions,
    seen: Interactions | None,
    only: bool = False,
    train: Interactions,
    ks: Sequence[int],
    users: np.ndarray | None = None,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
    definitions: Definitions = USUAL,
    protocol: Mapping[str, Any],
    show: Show = unseen,
) -> Evaluation:
    """Ranks every item that train knows for every user, and measures the lists.

    Args:
      model: what ranks.
      histories: every user's, in the order of the users: what the model goes by.
      relevant: what should be found. An item that train doesn't know can't be: it counts as
        missed (splits leave such items out, and count them).
      seen: what is masked: train for the validation part, train and validation for the test
        part, None for reconstruction and where what is known may be found again.
      only: whether all but `seen` is masked instead.
      train: says which items may be listed (those with an interaction) and how popular they are.
      ks: list lengths.
      users: [n] whose lists are measured; None takes all. Those with nothing relevant are left
        out, and counted in the protocol.
      memory_budget_mb: as in `top_k`; the result doesn't depend on it.
      definitions: of the metrics.
      protocol: what only the caller knows: the data's fingerprint, the split and its seed.
      show: shows how far it is.

    Raises:
      UserError: no user has a relevant item.
      RunError: an embedding or a score isn't finite.
      ValueError: shapes that don't fit together, or a k below 1.
    """
    asked = np.arange(relevant.num_users) if users is None else np.asarray(users)
    num_relevant = definitions.num_relevant(relevant)[asked]
    measured = asked[num_relevant > 0].astype(np.int32)
    num_relevant = num_relevant[num_relevant > 0]
    if len(measured) == 0:
        raise UserError(
            f"evaluation: none of {len(asked)} users has an interaction in the part to be found; "
            "expected at least one"
        )
    candidates = item_users(train) > 0
    with show(len(measured), "measuring", "users") as bar:
        items, _ = top_k(
            model,
            histories.take(measured),
            k=min(max(ks), relevant.num_items),
            seen=None if seen is None else Seen.of_users(seen, measured, only=only),
            candidates=candidates,
            memory_budget_mb=memory_budget_mb,
            on_histories=bar.update,
        )
    return Evaluation(
        per_user=definitions.per_user(find_hits(items, measured, relevant), num_relevant, ks),
        users=measured,
        beyond=beyond_accuracy(
            items, candidates=candidates, popularity_rank=popularity_rank(train), ks=ks
        ),
        protocol={
            **protocol,
            "users": len(measured),
            "users_without_relevant_items": len(asked) - len(measured),
            "candidates": int(candidates.sum()),
            "ranking": "full: every candidate item is scored for every user",
            "masked": _masked(seen, only),
            "ties": "the item with the lower index first",
            "ks": [int(k) for k in ks],
            "metrics": {**definitions.words, **BEYOND_ACCURACY_DEFINITIONS},
        },
    )


def _masked(seen: Interactions | None, only: bool) -> str:
    if seen is None:
        return "nothing"
    return (
        f"{'all but ' if only else ''}each user's own interactions seen before ({len(seen)} in all)"
    )


def find_hits(items: np.ndarray, users: np.ndarray, relevant: Interactions) -> np.ndarray:
    """Which entries of the users' lists are relevant: [n, k] bool.

    Args:
      items: [n, k] int32, -1 where there is none.
      users: [n], whose lists these are.
      relevant: the pairs that count as hits.
    """
    known = relevant.keys()
    if len(known) == 0:
        return np.zeros(items.shape, bool)
    keys = users.astype(np.int64)[:, None] * max(relevant.num_items, 1) + items
    position = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray((known[position] == keys) & (items >= 0))


def choose_users(interactions: Interactions, *, count: int, seed: int) -> np.ndarray:
    """Random users among those with an interaction: [<= count] int32, increasing.

    The same interactions, count and seed give the same users; all of them where there are no more
    than `count`.
    """
    active = np.unique(interactions.user).astype(np.int32)
    if len(active) <= count:
        return active
    chosen = np.random.default_rng(seed).choice(active, size=count, replace=False)
    return np.sort(chosen)


def drawn_users(
    relevant: Interactions, most: int | None
) -> tuple[np.ndarray | None, dict[str, int]]:
    """Whom to measure at the end, where that isn't everybody with something to be found.

    Returns:
      [n] int32, or None for everybody; and what the protocol says of it.
    """
    if most is None:
        return None, {}
    there = len(np.unique(relevant.user))
    if there <= most:
        return None, {}
    users = choose_users(relevant, count=most, seed=DRAWN_BY)
    return users, {"users_drawn_from": there, "users_drawn_by_seed": DRAWN_BY}
