"""Whether two rankings differ by more than chance: a paired test over users, corrected for many."""

import warnings
from collections.abc import Sequence

import numpy as np


def paired_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value of Student's paired t-test over users: that the mean difference is 0.

    Smucker, Allan & Carterette 2007 (https://doi.org/10.1145/1321440.1321528) find that the
    t-test, the randomization test and the bootstrap agree on ranking metrics, and advise against
    Wilcoxon's and the sign test; Urbano, Lima & Hanjalic 2019
    (https://doi.org/10.1145/3331184.3331259) find that the t-test keeps its error rate best.
    Unlike a randomization test it draws nothing, so its p-value isn't bounded below by the number
    of draws, which a correction over many comparisons would run into.

    Args:
      first: [n] float64, a metric of each user under one ranking.
      second: [n] float64, the same of the same users under the other.

    Returns:
      1 where all users have the same figure under both, or there is one user only; 0 where all
      differ by the same amount.

    Raises:
      ValueError: of different lengths, or empty.
    """
    from scipy import stats  # takes most of a second to load; other commands needn't wait for it

    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ValueError(f"figures of {first.shape} and {second.shape}; expected the same users")
    difference = first - second
    if not difference.any() or len(difference) == 1:
        return 1.0
    if np.ptp(difference) == 0:
        return 0.0
    with warnings.catch_warnings():
        # Of differences that are almost the same; p is then as good as 0 whatever the rounding.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return float(stats.ttest_1samp(difference, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being many: the chance of any false one among them stays below each.

    The i-th smallest of m is multiplied by m - i + 1, is at least as large as those before it, and
    at most 1 (Holm 1979, https://www.jstor.org/stable/4615733). Holds however the tests depend on
    each other, as metrics of the same lists do.

    Args:
      p_values: [m], in any order.

    Returns:
      [m] in the same order.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    factors = len(values) - np.arange(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected.tolist()
