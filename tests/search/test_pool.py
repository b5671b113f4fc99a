"""Pools of items that blends are judged by: as an evaluation judges them, in no time."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from jaxrec.config import RunConfig, with_fields
from jaxrec.models.blend import blend
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.definitions import definitions_of
from jaxrec.rank.evaluate import evaluate
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.search.auto import pool as module
from jaxrec.search.auto import recipe
from jaxrec.search.auto.measured import Measured
from jaxrec.search.auto.parts import Part, validation_parts
from jaxrec.search.auto.pool import NotFinite, cutoff, make_pool
from jaxrec.search.auto.trials import Finalist
from tests.models.problems import fit_model
from tests.search.histories import history

ITEMS = 30

Pooled = tuple[dict[str, Model], Any, Measure]


@pytest.fixture(scope="module")
def pooled() -> Pooled:
    (part,) = (each.split for each in validation_parts(history(), "random", 1, seed=3, users=100))
    table = np.zeros((40, ITEMS))
    table[part.train.user, part.train.item] = 1
    models = {
        "ease": fit_model("ease", table, l2=5.0),
        "itemknn": fit_model(
            "itemknn", table, neighbours=10, shrink=1.0, normalize=False, centre=True
        ),
    }
    return models, part, Measure(RunConfig(), part, peek=False)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.6)])
@pytest.mark.parametrize("metric", ["recall@5", "ndcg@10"])
def test_a_pool_judges_a_blend_as_an_evaluation_does(
    pooled: Pooled, weights: tuple[float, float], metric: str
) -> None:
    models, part, measure = pooled
    pool = make_pool(
        models, measure, leaders=list(models.values()), standardise=True, memory_budget_mb=64
    )
    known = item_users(part.train) > 0
    expected = evaluate(
        blend(list(models.values()), weights, known),
        histories=measure.histories,
        relevant=part.validation,
        seen=part.train,
        train=part.train,
        ks=(5, 10),
        protocol={},
    )
    hits = pool.ranked(dict(zip(models, weights, strict=True)), cutoff(metric), slice(None))
    found = pool.figures(hits, [metric])[:, 0]
    np.testing.assert_allclose(found, expected.per_user[metric], atol=1e-9)


def test_scores_that_differ_by_rounding_alone_say_nothing_in_a_pool_either(
    pooled: Pooled,
) -> None:
    models, _, measure = pooled
    noise = 1e-4 * np.random.default_rng(0).random((30, 1))
    flat = Factors(
        np.ones((40, 1), np.float32), (1_000 + noise).astype(np.float32), Constant(np.ones(1))
    )
    pool = make_pool(
        models | {"flat": flat},
        measure,
        leaders=list(models.values()),
        standardise=True,
        memory_budget_mb=64,
    )
    listed = pool.scores["flat"] > -np.inf
    assert len(np.unique(flat.item)) > 1
    assert listed.any() and (pool.scores["flat"][listed] == 0).all()


@given(
    values=hypothesis_numpy.arrays(
        np.float32, st.tuples(st.integers(1, 4), st.integers(1, 90)), elements=st.integers(-2, 6)
    ),
    depth=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_the_best_of_a_row_are_those_of_a_stable_sort(
    values: np.ndarray, depth: int, seed: int
) -> None:
    listed = np.random.default_rng(seed).random(values.shape) < 0.7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DEPTH", depth)
        patch.setattr(module, "COLUMNS_PER_BLOCK", 5)
        found = module._best(values, listed)
    allowed = np.where(listed, values, -np.inf)
    for items, row in zip(found, allowed, strict=True):
        best = np.argsort(-row, kind="stable")[:depth]
        assert sorted(items[items >= 0]) == sorted(best[row[best] > -np.inf])


def test_a_pool_takes_the_first_of_equals_as_an_evaluation_does(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that are nearly all the same, and more items than there is room for."""
    _, _, measure = pooled
    monkeypatch.setattr(module, "DEPTH", 5)
    weights = np.zeros((ITEMS, ITEMS), np.float32)
    weights[:, 13] = weights[:, 7] = weights[:, 21] = 1.0
    few = ItemWeights(weights)
    pool = make_pool({"few": few}, measure, leaders=[few], standardise=True, memory_budget_mb=64)
    found = pool.figures(pool.ranked({"few": 1.0}, 5, slice(None)), ["ndcg@5"])[:, 0]
    expected = measure.of_all("validation", few, (5,)).per_user["ndcg@5"]
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_pool_is_the_same_whatever_room_there_is(pooled: Pooled) -> None:
    models, _, measure = pooled
    leaders = [models["ease"]]
    much, none = (
        make_pool(models, measure, leaders=leaders, standardise=True, memory_budget_mb=budget)
        for budget in (64, 0)
    )
    np.testing.assert_array_equal(much.items, none.items)
    for name in models:
        np.testing.assert_array_equal(much.scores[name], none.scores[name])


def test_figures_that_need_everybody_at_once_are_made_of_everybody(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few users are ranked together: Yambda's NDCG is by the mean of all ideal ones."""
    models, part, measure = pooled
    config = with_fields(measure.config, {"eval.metric": "ndcg@10"})
    measured = Measured(config, [Part(part, np.zeros(part.train.num_users, bool))])
    (pool,) = measured.pools([models], standardise=True)
    pools = [dataclasses.replace(pool, per_user=definitions_of({"kind": "yambda"}).per_user)]
    weights = dict.fromkeys(models, 1.0)
    (whole,) = measured.figures(pools, weights)
    monkeypatch.setattr(module, "USERS_PER_BLOCK", 7)
    (blocks,) = measured.figures(pools, weights)
    assert len(pools[0].blocks()) > 3
    np.testing.assert_array_equal(blocks, whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_of_scores_that_are_no_numbers_is_left_out_of_a_blend(
    pooled: Pooled, bad: float
) -> None:
    """Whatever it scored on other parts: what is learnt there is learnt anew."""
    models, part, measure = pooled
    weights = np.zeros((ITEMS, ITEMS), np.float32)
    weights[3, 5] = bad
    broken = ItemWeights(weights)
    with pytest.raises(NotFinite, match="scores of slim hold a NaN or an infinity"):
        make_pool(
            models | {"slim": broken},
            measure,
            leaders=list(models.values()),
            standardise=True,
            memory_budget_mb=64,
        )
    known = {"ease": models["ease"], "slim": broken}

    class Fitted:
        def models(self, finalist: Finalist) -> tuple[Model, ...]:
            return (known[finalist.method],)

    finalists = [Finalist(name, {}, 0.5, 1) for name in known]
    measured = Measured(measure.config, [Part(part, np.zeros(part.train.num_users, bool))])
    trials: Any = Fitted()
    answer = recipe._blend(finalists, trials, measured, frozenset(), Console(quiet=True), 2.0)
    assert answer["weights"] == {"ease": 1.0}
