"""A bundle's scores, contributions and lists are the run's, for every method that has a bundle."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec.config import RunConfig
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens, aggregate
from jaxrec.data.options import Weight
from jaxrec.data.weighting import DAY, Weighting, weigh
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.rank.lists import similar_items
from jaxrec.rank.measure import all_seen, histories_of
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from jaxrec.report.console import Console
from jaxrec.runs.bundling import bundle_of, figures_of
from jaxrec.runs.methods import fit_model
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.trained import Trained, known_items
from jaxrec.serve.bundle import Bundle, write_bundle
from jaxrec.serve.history import History
from jaxrec.serve.scorer import Scorer
from tests.checkerboard import SMALL, config_of, write_checkerboard
from tests.nursery import ROOT
from tests.serve.bundles import small_bundle

CASES: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in ("gcn", "most_popular", "itemknn", "rp3beta")},
    **{name: {"method": name} for name in ("ease", "slim", "ials")},
    "gcn with softmax": {"method": "gcn", "loss__name": "softmax", "loss__negatives": 64},
    "gcn with softmax, weighed otherwise": {
        "method": "gcn",
        "loss__name": "softmax",
        "loss__negatives": 64,
        "history__weight": "raw",
    },
    "ials, weighed otherwise": {"method": "ials", "history__weight": "raw"},
    "itemknn, not centred": {"method": "itemknn", "baseline__itemknn__centre": False},
    "walks, cut": {"method": "walks", "walks__ends": 6, "walks__longer": 0.3},
    "gcn with cut walks": {"method": "gcn", "walks__weight": 2.0, "walks__ends": 6},
    "blend of matrices": {"method": "blend", "blend__models": ("itemknn", "slim", "rp3beta")},
    "blend of factors": {"method": "blend", "blend__models": ("gcn", "ials", "most_popular")},
    "blend of both": {"method": "blend", "blend__models": ("gcn", "ease")},
}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A run, and what reads its bundle."""

    run: Trained
    scorer: Scorer

    @property
    def histories(self) -> Histories:
        return histories_of(self.run.split.train, self.run.config)


def make(folder: Path, changes: dict[str, Any]) -> Trained:
    path = write_checkerboard(folder / "listens.csv")
    config: RunConfig = config_of(path, data__weight="log", **SMALL | changes)
    split = prepare_split(config, Console(quiet=True))
    model = fit_model(config, split.train, Hooks(Console(quiet=True).progress))
    return Trained(config, split, model, None)


def bundled(run: Trained) -> Bundle:
    return bundle_of(run.model, run.config, run.split, figures_of(None))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    done: dict[str, Case] = {}

    def case_of(name: str) -> Case:
        if name not in done:
            folder = tmp_path_factory.mktemp("case")
            run = make(folder, CASES[name])
            write_bundle(folder / "bundle", bundled(run))
            done[name] = Case(run, Scorer.load(folder / "bundle"))
        return done[name]

    return case_of


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def as_one(histories: Histories, row: int) -> History:
    rows = slice(histories.offsets[row], histories.offsets[row + 1])
    learnt = None if histories.learnt is None else histories.learnt[rows]
    return History(
        histories.items[rows], histories.weights[rows], int(histories.users[row]), learnt
    )


def test_the_lists_are_the_runs(case: Case) -> None:
    split, histories = case.run.split, case.histories
    seen, k = all_seen(split), 5
    for some in (histories, histories.of_strangers()):
        wanted, scores = top_k(
            case.run.model,
            some,
            k=k,
            seen=Seen.of_users(seen, histories.users),
            candidates=known_items(split),
            memory_budget_mb=64,
        )
        for row in range(len(some)):
            hidden = case.scorer.seen_by(row)
            found, found_scores = case.scorer.top(as_one(some, row), k=k, hidden=hidden)
            kept = wanted[row] >= 0
            np.testing.assert_allclose(found_scores, scores[row][kept], rtol=2e-5, atol=2e-5)
            # Equally good items may come in another order.
            for mine, its, score in zip(found, wanted[row][kept], found_scores, strict=True):
                ties = np.isclose(found_scores, score, rtol=1e-4, atol=1e-4).sum() > 1
                assert mine == its or ties or np.isclose(score, scores[row][kept][-1], rtol=1e-4)


def test_a_users_history_is_the_one_in_training(case: Case) -> None:
    for user in range(len(case.histories)):
        wanted, found = as_one(case.histories, user), case.scorer.history_of(user)
        assert found.user == user
        np.testing.assert_array_equal(found.items, wanted.items)
        np.testing.assert_array_equal(found.weights, wanted.weights)


def test_contributions_and_the_rest_add_up_to_the_score_and_are_the_runs(case: Case) -> None:
    items = np.arange(case.run.model.num_items, dtype=np.int32)[known_items(case.run.split)]
    for histories in (case.histories, case.histories.of_strangers()):
        for row in (0, 3):
            one = as_one(histories, row)
            entries, rest = case.scorer.contributions(one, items)
            total = entries.sum(axis=0) + sum(rest.values())
            found, scores = case.scorer.top(one, k=len(items))
            by_item = dict(zip(found.tolist(), scores.tolist(), strict=True))
            wanted = np.array([by_item[item] for item in items.tolist()])
            np.testing.assert_allclose(total, wanted, atol=1e-5 * np.abs(wanted).max())
            its = case.run.model.contributions(histories.take(np.array([row])), items)
            np.testing.assert_allclose(entries, its.entries, atol=1e-4 * np.abs(wanted).max())


def test_similar_items_are_the_runs(case: Case) -> None:
    listed = known_items(case.run.split)
    for item in np.flatnonzero(listed)[:3]:
        _, wanted = similar_items(case.run.model, int(item), k=4, candidates=listed)
        found, similarities = case.scorer.similar(int(item), k=4)
        assert item not in found
        np.testing.assert_allclose(similarities, wanted, rtol=1e-4, atol=1e-5)


def test_an_empty_history_has_a_list(case: Case) -> None:
    nobody = History(np.zeros(0, np.int32), np.zeros(0, np.float32))
    _, scores = case.scorer.top(nobody, k=3)
    assert np.isfinite(scores).all()


def test_only_and_hidden_items_are_heeded_and_ties_come_in_order(
    cases: Callable[[str], Case],
) -> None:
    scorer = cases("rp3beta").scorer
    nobody = History(np.zeros(0, np.int32), np.zeros(0, np.float32))
    everything, _ = scorer.top(nobody, k=1000)
    assert everything.tolist() == np.flatnonzero(known_items(cases("rp3beta").run.split)).tolist()
    assert scorer.top(nobody, k=3, hidden=everything[:2])[0].tolist() == everything[2:5].tolist()
    assert scorer.top(nobody, k=3, among=everything[4:6])[0].tolist() == everything[4:6].tolist()
    assert scorer.top(nobody, k=3, among=everything[:1], hidden=everything[:1])[0].tolist() == []


def test_plays_of_an_item_named_twice_add_up(cases: Callable[[str], Case]) -> None:
    scorer = cases("rp3beta").scorer
    twice = scorer.history(np.array([3, 1, 3]), np.array([1.0, 2.0, 4.0]))
    assert twice.items.tolist() == [1, 3]
    np.testing.assert_allclose(twice.weights, np.log1p([2.0, 5.0]).astype(np.float32))


@pytest.mark.parametrize("plays", ["binary", "log", "raw"])
@pytest.mark.parametrize("half_life", [None, 2.0])
def test_a_new_history_is_weighed_as_the_same_history_in_a_file(
    plays: Weight, half_life: float | None
) -> None:
    items = np.array([4, 1, 4, 2, 1, 1])
    counts = np.array([1.0, 2.0, 3.0, 1.0, 1.0, 5.0])
    times = DAY * np.array([0, 9, 5, 3, 1, 9])
    listens = Listens(
        user=np.zeros(6, np.int32),
        item=items.astype(np.int32),
        plays=counts,
        timestamp=times.astype(np.int64),
        users=IdMap(np.array([0])),
        items=IdMap(np.arange(7)),
    )
    same = {"plays": plays, "half_life_days": half_life}
    wanted = weigh(aggregate(listens), Weighting(plays, half_life))
    scorer = Scorer(small_bundle(weight=plays, half_life_days=half_life, learnt=same), "")
    found = scorer.history(items, counts, times.astype(float))
    assert found.items.tolist() == [1, 2, 4] and found.learnt is None
    np.testing.assert_allclose(found.weights, wanted, rtol=1e-6)
    # Where another weight was learnt by, all of them together are what was learnt.
    learnt = weigh(aggregate(listens), Weighting("log", 1.0))
    by = {"plays": "log", "half_life_days": 1.0}
    shared = Scorer(small_bundle(weight=plays, half_life_days=half_life, learnt=by), "").history(
        items, counts, times.astype(float)
    )
    np.testing.assert_allclose(shared.learnt, learnt, rtol=1e-6)
    np.testing.assert_allclose(shared.weights, wanted * learnt.sum() / wanted.sum(), rtol=1e-5)
    untimed = scorer.history(items, counts, np.full(6, np.nan))
    np.testing.assert_array_equal(untimed.weights, scorer.history(items, counts).weights)


@pytest.mark.parametrize("changes", [{"method": "gfcf"}, {"walks__weight": 1.0}])
def test_what_sums_over_the_graph_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sums over the graph .* a bundle doesn't hold; expected "):
        bundled(make(tmp_path, changes))


BLOCKED = """
import sys
for name in ("jax", "jaxlib", "scipy", "duckdb", "optax", "orbax", "flax", "matplotlib"):
    sys.modules[name] = None
import numpy as np
import jaxrec.serve.scorer
from jaxrec.serve.scorer import Scorer

scorer = Scorer.load(sys.argv[1])
items, _ = scorer.top(scorer.history_of(0), k=3, hidden=scorer.seen_by(0))
print(items.tolist())
"""


def test_it_needs_no_jax(cases: Callable[[str], Case], tmp_path: Path) -> None:
    case = cases("gcn")
    write_bundle(tmp_path / "bundle", bundled(case.run))
    said = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "bundle")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    wanted, _ = case.scorer.top(case.scorer.history_of(0), k=3, hidden=case.scorer.seen_by(0))
    assert said.stdout.strip() == str(wanted.tolist())
