"""Metrics equal fractions worked out by hand, and an independent implementation."""

from fractions import Fraction
from math import log2

import ir_measures
import numpy as np
import pytest

from jaxrec.rank.metrics import (
    BEYOND_ACCURACY_DEFINITIONS,
    METRIC_DEFINITIONS,
    beyond_accuracy,
    bootstrap_intervals,
    gini,
    per_user_metrics,
)


def of_one(hits, num_relevant, k):
    metrics = per_user_metrics(np.array([hits], bool), np.array([num_relevant]), [k])
    return {name.partition("@")[0]: values[0] for name, values in metrics.items()}


# hits, number of relevant items, k -> recall, precision, hit rate, MRR, MAP
BY_HAND = [
    ([1, 0, 1, 0, 0], 2, 5, "1", "2/5", "1", "1", "5/6"),
    ([1, 0, 1, 0, 0], 4, 5, "1/2", "2/5", "1", "1", "5/12"),
    ([1, 0, 1, 0, 0], 4, 1, "1/4", "1", "1", "1", "1"),
    ([0, 0, 1, 0, 1], 3, 5, "2/3", "2/5", "1", "1/3", "11/45"),
    ([0, 0, 1, 0, 1], 3, 2, "0", "0", "0", "0", "0"),
    ([0, 1, 0, 0, 0], 1, 5, "1", "1/5", "1", "1/2", "1/2"),
    ([0, 0, 0, 0, 0], 7, 5, "0", "0", "0", "0", "0"),
    ([1, 1, 1, 1, 1], 5, 5, "1", "1", "1", "1", "1"),
    ([1, 1, 1, 1, 1], 9, 5, "5/9", "1", "1", "1", "1"),
    ([0, 1, 1], 2, 6, "1", "1/3", "1", "1/2", "7/12"),  # k beyond the list
    ([0, 1, 1], 9, 6, "2/9", "1/3", "1", "1/2", "7/36"),
]


@pytest.mark.parametrize(
    ("hits", "num_relevant", "k", "recall", "precision", "hit_rate", "mrr", "average"), BY_HAND
)
def test_equals_fractions_by_hand(hits, num_relevant, k, recall, precision, hit_rate, mrr, average):
    found = of_one(hits, num_relevant, k)
    expected = dict(recall=recall, precision=precision, hit_rate=hit_rate, mrr=mrr, map=average)
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(Fraction(value)), abs=1e-15), name


@pytest.mark.parametrize(
    ("hits", "num_relevant", "k", "expected"),
    [
        ([1, 0, 0], 1, 3, 1),
        ([0, 1, 0], 1, 3, 1 / log2(3)),
        ([1, 0, 1], 2, 3, (1 + 1 / 2) / (1 + 1 / log2(3))),
        ([1, 0, 1], 5, 3, (1 + 1 / 2) / (1 + 1 / log2(3) + 1 / 2)),
        ([0, 0, 0], 5, 3, 0),
        ([1, 1, 1], 8, 3, 1),
        ([0, 0, 1], 4, 2, 0),
        ([0, 1], 3, 4, (1 / log2(3)) / (1 + 1 / log2(3) + 1 / 2)),
    ],
)
def test_ndcg_equals_the_formula_by_hand(hits, num_relevant, k, expected):
    assert of_one(hits, num_relevant, k)["ndcg"] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("num_relevant", [1, 3, 10, 25])
def test_the_ideal_list_scores_exactly_one(num_relevant):
    ideal = np.arange(20) < num_relevant
    found = of_one(ideal, num_relevant, 20)
    assert found["ndcg"] == found["map"] == found["mrr"] == found["hit_rate"] == 1


def test_agrees_with_ir_measures():
    random = np.random.default_rng(0)
    users, length, items, ks = 60, 20, 60, [1, 5, 10, 20, 30]
    relevant = random.random((users, items)) < random.uniform(0.02, 0.6, (users, 1))
    relevant[:, 0] |= ~relevant.any(axis=1)
    lists = np.stack([random.permutation(items)[:length] for _ in range(users)])
    num_relevant = relevant.sum(axis=1)
    ours = per_user_metrics(np.take_along_axis(relevant, lists, 1), num_relevant, ks)

    qrels = {str(u): {str(i): 1 for i in np.flatnonzero(relevant[u])} for u in range(users)}
    run = {
        str(u): {str(i): float(length - rank) for rank, i in enumerate(lists[u])}
        for u in range(users)
    }
    measures = {
        "recall": ir_measures.R,
        "precision": ir_measures.P,
        "ndcg": ir_measures.nDCG,
        "hit_rate": ir_measures.Success,
        "mrr": ir_measures.RR,
        "map": ir_measures.AP,
    }
    assert measures.keys() == METRIC_DEFINITIONS.keys()
    theirs = {name: np.full(users, np.nan) for name in ours}
    names = {measure @ k: f"{name}@{k}" for name, measure in measures.items() for k in ks}
    for row in ir_measures.iter_calc(list(names), qrels, run):
        theirs[names[row.measure]][int(row.query_id)] = row.value
    for name, values in ours.items():
        metric, k = name.split("@")
        if metric == "map":  # theirs divides by all relevant items
            values = values * np.minimum(num_relevant, int(k)) / num_relevant
        np.testing.assert_allclose(values, theirs[name], atol=1e-12, err_msg=name)


def test_ks_do_not_change_each_other():
    random = np.random.default_rng(1)
    hits, num_relevant = random.random((40, 30)) < 0.2, random.integers(1, 12, 40)
    together = per_user_metrics(hits, num_relevant, [20, 3, 50])
    assert next(iter(together)) == "recall@20" and len(together) == 3 * len(METRIC_DEFINITIONS)
    for k in (3, 20, 50):
        for name, values in per_user_metrics(hits, num_relevant, [k]).items():
            assert values.dtype == np.float64 and values.shape == (40,)
            np.testing.assert_array_equal(values, together[name])


def test_metrics_refuse_users_without_relevant_items_and_empty_lists():
    hits = np.zeros((2, 3), bool)
    with pytest.raises(ValueError, match="at least 1 relevant"):
        per_user_metrics(hits, np.array([1, 0]), [3])
    for ks in ([], [0], [3, -1]):
        with pytest.raises(ValueError, match="list lengths"):
            per_user_metrics(hits, np.array([1, 1]), ks)


def test_beyond_accuracy_by_hand():
    candidates = np.array([True, True, False, True, True])
    items = np.array([[3, 0], [3, 1], [3, -1]], np.int32)
    found = beyond_accuracy(
        items, candidates=candidates, popularity_rank=np.array([2, 3, 5, 1, 4]), ks=[1, 2, 9]
    )
    assert {name.partition("@")[0] for name in found} == BEYOND_ACCURACY_DEFINITIONS.keys()
    assert found["coverage@1"] == 1 / 4
    assert found["mean_popularity_rank@1"] == 1
    assert found["gini@1"] == 1
    assert found["coverage@2"] == 3 / 4
    assert found["mean_popularity_rank@2"] == (1 + 2 + 1 + 3 + 1) / 5
    # counts of the candidates, sorted: 0 1 1 3; (-3*0 - 1*1 + 1*1 + 3*3) / (3 * 5)
    assert found["gini@2"] == pytest.approx(9 / 15)
    assert found["gini@9"] == found["gini@2"]


def test_gini_runs_from_zero_to_one():
    assert gini(np.array([4, 4, 4])) == 0
    assert gini(np.array([0, 0, 9])) == 1
    assert gini(np.array([7])) == 0
    assert np.isnan(gini(np.zeros(3)))


def test_empty_lists_cover_nothing():
    found = beyond_accuracy(
        np.full((2, 3), -1), candidates=np.ones(4, bool), popularity_rank=np.arange(4), ks=[3]
    )
    assert found["coverage@3"] == 0
    assert np.isnan(found["mean_popularity_rank@3"]) and np.isnan(found["gini@3"])


def test_a_k_beyond_the_list_costs_nothing_and_finds_nothing():
    hits = np.array([[True, False, True]])
    found = per_user_metrics(hits, np.array([4]), [3, 10**12])
    for name in ("recall", "hit_rate", "mrr", "map"):
        assert found[f"{name}@{10**12}"] == pytest.approx(
            found[f"{name}@3"] * (3 / 4 if name == "map" else 1)
        )
    assert found[f"precision@{10**12}"] == 2 / 10**12
    ideal = (1 / np.log2(1 + np.arange(1, 5))).sum()
    assert found[f"ndcg@{10**12}"] == pytest.approx((1 + 0.5) / ideal)


def test_bootstrap_interval_is_that_of_the_normal_approximation_for_many_users():
    values = np.random.default_rng(2).random(4000)
    low, high = bootstrap_intervals({"a": values}, seed=0)["a"]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow_low, narrow_high = bootstrap_intervals({"a": values}, seed=0, level=0.5)["a"]
    assert low < narrow_low < values.mean() < narrow_high < high


def test_bootstrap_is_chosen_by_the_seed_and_shares_its_draws():
    random = np.random.default_rng(3)
    metrics = {"a": random.random(500), "b": random.random(500)}
    both = bootstrap_intervals(metrics, seed=1)
    assert both == bootstrap_intervals(metrics, seed=1)
    assert both != bootstrap_intervals(metrics, seed=2)
    for name, values in metrics.items():
        alone = bootstrap_intervals({name: values}, seed=1)
        np.testing.assert_allclose(alone[name], both[name], rtol=1e-12)


def test_bootstrap_of_equal_values_or_one_user_is_a_point():
    assert bootstrap_intervals({"a": np.full(50, 0.25)}, seed=0) == {"a": (0.25, 0.25)}
    assert bootstrap_intervals({"a": np.array([0.3])}, seed=0) == {"a": (0.3, 0.3)}


def test_bootstrap_refuses_no_users_and_different_lengths():
    with pytest.raises(ValueError, match="at least 1"):
        bootstrap_intervals({"a": np.zeros(0)}, seed=0)
    with pytest.raises(ValueError, match="one length"):
        bootstrap_intervals({"a": np.zeros(2), "b": np.zeros(3)}, seed=0)
