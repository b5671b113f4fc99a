"""One listening history, as the scorer takes it."""

import dataclasses
from typing import Any

import numpy as np

UNKNOWN = -1  # the user of a history whom the model was not fitted to


@dataclasses.dataclass(frozen=True, eq=False)
class History:
    """Who listened to what, and how much.

    Attributes:
      items: [n] int32, increasing.
      weights: [n] float32, above 0.
      user: as the model knows them, or UNKNOWN.
      learnt: [n] float32, the weights by which the model has learnt its users, where it is to rank
        somebody new by others; None where they are the same.
      solved: what took a while to find out about it, by who found it out: a list and its reasons
        ask for the same.
    """

    items: np.ndarray
    weights: np.ndarray
    user: int = UNKNOWN
    learnt: np.ndarray | None = None
    solved: dict[object, Any] = dataclasses.field(default_factory=dict)
