"""Properties of the metrics that hold for any lists, found by Hypothesis."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.rank.metrics import (
    beyond_accuracy,
    bootstrap_intervals,
    gini,
    per_user_metrics,
)

HITS = st.lists(st.booleans(), min_size=1, max_size=12)


def measured(hits, num_relevant, k):
    found = per_user_metrics(np.array([hits], bool), np.array([num_relevant]), [k])
    return {name.partition("@")[0]: float(values[0]) for name, values in found.items()}


@given(hits=HITS, missed=st.integers(0, 5), k=st.integers(1, 20))
def test_between_nothing_and_perfect(hits, missed, k):
    relevant = sum(hits) + missed
    if not relevant:
        return
    found = measured(hits, relevant, k)
    assert all(0 <= value <= 1 + 1e-12 for value in found.values())
    assert (found["hit_rate"] == 0) == (found["mrr"] == 0) == (found["recall"] == 0)
    assert found["recall"] * relevant == found["precision"] * k or np.isclose(
        found["recall"] * relevant, found["precision"] * k
    )
    ideal = measured(sorted(hits, reverse=True), relevant, k)
    assert all(found[name] <= ideal[name] + 1e-12 for name in found)


@given(hits=HITS, missed=st.integers(0, 5), k=st.integers(1, 12), at=st.integers(0, 10))
def test_a_hit_earlier_is_never_worse(hits, missed, k, at):
    at %= len(hits)
    if at == 0 or not hits[at] or hits[at - 1]:
        return
    earlier = [*hits[: at - 1], True, False, *hits[at + 1 :]]
    relevant = sum(hits) + missed
    before, after = measured(hits, relevant, k), measured(earlier, relevant, k)
    assert all(after[name] >= before[name] - 1e-12 for name in before)


@given(hits=HITS, missed=st.integers(0, 5))
def test_recall_and_hit_rate_grow_with_k(hits, missed):
    relevant = sum(hits) + missed
    if not relevant:
        return
    curves = [measured(hits, relevant, k) for k in range(1, len(hits) + 3)]
    for name in ("recall", "hit_rate", "mrr"):
        values = [found[name] for found in curves]
        assert values == sorted(values)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_gini_is_a_share_and_knows_no_order(counts):
    found = gini(np.array(counts))
    if not sum(counts):
        assert np.isnan(found)
        return
    assert -1e-12 <= found <= 1 + 1e-12
    assert np.isclose(found, gini(np.array(counts[::-1])))
    assert np.isclose(found, gini(np.array(counts) * 3))
    # By its definition: the mean difference of two over twice the mean, stretched to reach 1.
    size = len(counts)
    if size > 1:
        table = np.array(counts, float)
        difference = np.abs(table[:, None] - table[None, :]).sum() / (size * (size - 1))
        assert np.isclose(found, difference / (2 * table.mean()))


@given(st.lists(st.lists(st.integers(0, 5), max_size=4, unique=True), min_size=1, max_size=5))
def test_coverage_counts_the_listed(lists):
    items = np.full((len(lists), 4), -1, np.int32)
    for row, listed in enumerate(lists):
        items[row, : len(listed)] = listed
    found = beyond_accuracy(
        items, candidates=np.ones(6, bool), popularity_rank=np.arange(1, 7), ks=[4]
    )
    assert found["coverage@4"] == len(set().union(*lists)) / 6


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 1000))
def test_the_interval_lies_within_the_values(values, seed):
    ((low, high),) = bootstrap_intervals(
        {"": np.array(values)}, seed=seed, num_resamples=50
    ).values()
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
