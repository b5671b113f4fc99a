"""What a search for settings is: of which method, how long, and how large the data are."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.search.auto.climb import Axis

Effort = Literal["quick", "normal", "thorough"]
Cost = Literal["inverse", "products", "regressions", "sums", "steps"]
TRIED = {"quick": 2, "normal": 5, "thorough": 20}  # settings of a method that is fitted at once


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the data are.

    Attributes:
      users: who have an interaction.
      items: which have one.
      edges: interactions.
      pairs: entries of the products of items, the sum of the users' squared degrees.
    """

    users: int
    items: int
    edges: int
    pairs: int

    @classmethod
    def of(cls, train: Interactions) -> "Size":
        """The size of what is learnt from."""
        degrees = np.bincount(train.user, minlength=1).astype(np.int64)
        return cls(
            users=int((degrees > 0).sum()),
            items=len(np.unique(train.item)),
            edges=len(train),
            pairs=int((degrees * degrees).sum()),
        )


@dataclasses.dataclass(frozen=True)
class Search:
    """How one method's settings are searched.

    Attributes:
      method: its name.
      start: the settings to begin with, by field.
      axes: what is changed, the most important first; each with values alike in their order.
      most: settings tried at most.
      cost: what a fit spends its time on: an inverse of items by items or of users by users,
        products of the matrix with itself, these and regressions on the best of them, sums over
        the graph (when ranking), or steps of training.
      longer: fields that the best settings get where patience hadn't run out when their epochs
        ended; empty where there are none, or no time for it.
      parts: how many parts, at most, each setting is fitted to.
      dear: by field and value, what a score is divided by before it is compared with others: what
        takes much longer has to be so much better.
      slowest: how many times as long as with the first settings a step takes with the dearest.
    """

    method: str
    start: Mapping[str, Any]
    axes: Sequence[Axis]
    most: int
    cost: Cost
    longer: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parts: int = 1
    dear: Mapping[str, Mapping[Any, float]] = dataclasses.field(default_factory=dict)
    slowest: float = 1.0

    def price(self, settings: Mapping[str, Any]) -> float:
        """What a score of some settings is divided by, as `dear` says; 1 for most."""
        factors = (prices.get(settings.get(field), 1.0) for field, prices in self.dear.items())
        return math.prod(factors)

    @property
    def trained(self) -> bool:
        """Whether it is trained in steps, and no closed form."""
        return self.cost == "steps"

    @property
    def chooses(self) -> bool:
        """Whether there is a setting to choose; else the one fit for the blend is enough."""
        return self.most > 1 or self.trained
