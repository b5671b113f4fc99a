"""The Yambda benchmark's cut: 300 days of train, a gap of 30 minutes, one day of test.

As its own code has it (benchmarks/yambda/constants.py and processing/timesplit.py at
https://huggingface.co/datasets/yandex/yambda; the paper: https://arxiv.org/abs/2505.22238). A day
of validation, where there is one, ends where the gap before test begins, and has a gap of its own
before it. Listens in a gap are in no part.
"""

import dataclasses

import numpy as np

from jaxrec.data.interactions import Interactions

DAY, GAP, TRAIN_DAYS = 86_400, 30 * 60, 300  # seconds, seconds, days


@dataclasses.dataclass(frozen=True)
class Windows:
    """Where the parts begin and end, seconds since 1970 (or from where the history counts).

    Attributes:
      train: first second, and the first after it.
      validation: likewise; None where there is none.
      test: likewise. The last second is the one that ends the day, as the benchmark's data do.
    """

    train: tuple[int, int]
    validation: tuple[int, int] | None
    test: tuple[int, int]


def windows(moment: int, *, with_validation: bool) -> Windows:
    """The parts' windows.

    Args:
      moment: where test begins.
      with_validation: whether the day before is set apart to choose by.
    """
    begin = moment - GAP - TRAIN_DAYS * DAY
    test = (moment, moment + DAY + 1)
    if not with_validation:
        return Windows((begin, moment - GAP), None, test)
    validation = (moment - GAP - DAY, moment - GAP)
    return Windows((begin, validation[0] - GAP), validation, test)


def last_day(times: np.ndarray) -> int:
    """Where test begins if it is the last day of a history: [n] int64 times, n >= 1."""
    return int(times.max()) - DAY


def within(whole: Interactions, window: tuple[int, int]) -> Interactions:
    """The pairs with listens in a window; only these listens count."""
    return whole.since(window[0]).before(window[1])
