"""The automatic recipe's parts: what is held out, remembered, climbed, weighed and pooled."""

import gc
import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from jaxrec.config import EvalConfig, RunConfig, with_fields
from jaxrec.data.cuts import alike_rows, random_rows
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.errors import RunError, UserError
from jaxrec.models import closed_forms
from jaxrec.models.blend import blend
from jaxrec.models.method import Hooks, unseen
from jaxrec.models.popularity import item_users
from jaxrec.rank.measure import Measure, check_found
from jaxrec.report.console import Console
from jaxrec.runs.methods import fit_model as fit_method
from jaxrec.runs.prepare import prepare_split
from jaxrec.search.auto import chosen, ranking, recipe, trials
from jaxrec.search.auto.by_time import (
    HALF_LIFE,
    LEARNT,
    PROBE,
    WEIGHT,
    WEIGHTS,
    choose_history,
    searches,
    session_gap,
)
from jaxrec.search.auto.climb import climb
from jaxrec.search.auto.journal import Journal
from jaxrec.search.auto.measured import Measured
from jaxrec.search.auto.parts import validation_parts
from jaxrec.search.auto.plan import Plan, more_parts, parts_and_users, plan
from jaxrec.search.auto.pool import make_pool
from jaxrec.search.auto.searches import Search, Size
from jaxrec.search.auto.trials import Finalist, Trials
from jaxrec.search.auto.weights import choose_weights, is_preferred, needed_of_a_member
from jaxrec.search.candidate import Candidate
from tests.kernels import ON_CPU
from tests.listening import config_by_time, listens, write
from tests.search.histories import history


def test_parts_hold_out_what_train_knows_the_rest_of_and_no_more_users_than_asked_for() -> None:
    whole = history()
    parts = validation_parts(whole, "random", 2, seed=0, users=25)
    for part in (each.split for each in parts):
        held_out = part.validation
        assert held_out is not None
        assert not np.isin(held_out.keys(), part.train.keys()).any()
        assert np.isin(held_out.keys(), whole.keys()).all()
        assert len(np.unique(held_out.user)) == 25
        assert np.isin(held_out.item, part.train.item).all()
        assert part.test is None
    assert parts[0].split.fingerprints != parts[1].split.fingerprints


def test_some_users_give_what_goes_together_and_settings_are_chosen_by_the_others() -> None:
    whole = history()
    (part,) = validation_parts(whole, "given", 1, seed=0, users=100, both_ways=True)
    held_out = part.split.validation
    assert held_out is not None and part.alike.any() and not part.alike.all()
    for rows, alike in ((random_rows, False), (alike_rows, True)):
        expected = whole.select(rows(whole, 0.1, 0) & (part.alike[whole.user] == alike))
        assert np.isin(held_out.keys()[part.alike[held_out.user] == alike], expected.keys()).all()
    chosen_by = part.at_random.validation
    assert chosen_by is not None and len(chosen_by)
    np.testing.assert_array_equal(chosen_by.keys(), held_out.keys()[~part.alike[held_out.user]])
    assert part.at_random.train is part.split.train


def test_all_that_is_held_out_is_cut_at_random_unless_both_ways_are_asked_for_and_test_is_not() -> (
    None
):
    whole = history()
    (part,) = validation_parts(whole, "random", 1, seed=0, users=100, both_ways=True)
    (other,) = validation_parts(whole, "given", 1, seed=0, users=100)
    for each in (part, other):
        held_out = each.split.validation
        assert held_out is not None and not each.alike.any()
        assert np.isin(held_out.keys(), whole.select(random_rows(whole, 0.1, 0)).keys()).all()


def test_parts_that_hold_nothing_out_are_left_out() -> None:
    tiny = history(users=4, items=18)
    parts = validation_parts(tiny, "random", 30, seed=0, users=10)
    assert 0 < len(parts) < 30
    assert all(part.split.validation is not None for part in parts)


def test_the_rules_that_cut_a_part_are_kept_apart_in_every_view() -> None:
    class Answered:
        users = np.arange(4)

        def __init__(self, value: float) -> None:
            self.value = value

        def blocks(self) -> list[slice]:
            return [slice(0, 3), slice(3, 6)]

        def ranked(self, weights: Mapping[str, float], k: int, block: slice) -> np.ndarray:
            return self.users[block]

        def figures(self, hits: np.ndarray, metrics: Sequence[str]) -> np.ndarray:
            assert len(hits) == 4  # everybody's at once
            return np.tile((self.value + 0.1 * hits)[:, None], len(metrics))

    parts: Any = [SimpleNamespace(alike=np.arange(4) == own) for own in (1, 3)]
    measured = Measured.__new__(Measured)
    measured.parts, measured.metrics = parts, ("recall@20", "ndcg@20")
    views: Any = [Answered(value) for value in (0.0, 1.0, 2.0, 3.0)]  # of each part twice
    at_random, alike = measured.figures(views, {})
    np.testing.assert_allclose(alike[:, 0], [0.1, 1.3, 2.1, 3.3])
    assert len(at_random) == 12


@pytest.mark.parametrize("kind", ["given", "random", "last_n"])
def test_the_network_is_chosen_by_random_parts_closed_forms_by_parts_cut_both_ways(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Split(history(times=True), None, None, {"kind": kind, "seed": 0})
    parts, _ = chosen._parts(whole, with_fields(RunConfig(), {"seed": 3}))
    asked: list[Any] = []

    class Answering:
        def __init__(self, *, parts: Any, purpose: str, keep_models: bool = True) -> None:
            self.parts, self.purpose, self.keep_models = parts, purpose, keep_models

        def search(self, search: Search) -> Finalist:
            asked.append(self)
            return Finalist(search.method, {}, 0.5, 1)

    judges: Any = Answering(parts=parts.fresh, purpose="blend")
    searches = [
        Search("itemknn", {}, [], 2, "products", parts=4),
        Search("rp3beta", {}, [], 2, "products", parts=1),  # there is no work for more
        Search("ease", {}, [], 1, "inverse", parts=4),
    ]
    found = recipe._closed_forms(searches, parts, judges, cast("Any", Answering))
    assert [each.method for each in found] == ["itemknn", "rp3beta", "ease"]
    assert asked[2] is judges  # where there is nothing to choose the blend's parts are enough
    assert [each.purpose for each in asked[:2]] == ["closed forms"] * 2
    assert [each.keep_models for each in asked] == [False, False, True]  # the blend has judges'
    assert [len(each.parts) for each in asked[:2]] == [parts.closed_forms, 1]
    assert not any(part.alike.any() for part in parts.network)
    if kind == "last_n":  # then test is later
        assert asked[0].parts[0].train is parts.network[0].split.train
        return
    seeds = [
        [split.protocol["seed"] for split in each]
        for each in ([part.split for part in parts.network], asked[0].parts)
    ]
    assert seeds == [[3, 4], [3, 4, 5, 6]]
    assert [part.split.protocol["seed"] for part in parts.fresh] == [7, 8, 9, 10]
    cut_both_ways = [part.alike.any() for part in (*parts.cut_closed_forms(), *parts.fresh)]
    assert cut_both_ways == [kind == "given"] * 8
    kept = [weakref.ref(split) for split in asked[0].parts]
    asked.clear()
    gc.collect()
    assert not any(each() for each in kept)  # of large data each is large


@pytest.mark.parametrize("kind", ["time", "last_n"])
def test_where_test_is_later_so_is_what_is_held_out(kind: Any) -> None:
    whole = history(times=True)
    (part,) = (each.split for each in validation_parts(whole, kind, 1, seed=0, users=100))
    assert part.validation is not None
    held_out, kept = part.validation.timestamp, part.train.timestamp
    assert held_out is not None and kept is not None
    for user in np.unique(part.validation.user):
        rows = part.train.user == user
        if kind == "last_n" and rows.any():
            assert held_out[part.validation.user == user].min() > kept[rows].max()
    if kind == "time":
        assert held_out.min() > kept.max()


@pytest.mark.parametrize(("minutes", "expected"), [(1, 30.0), (29, 30.0), (31, 1e9), (1_440, 1e9)])
def test_where_no_listen_follows_soon_a_history_is_one_session(
    minutes: int, expected: float
) -> None:
    count = 60
    heard = Listens(
        np.arange(count) // 20,
        np.arange(count) % 7,
        np.ones(count),
        60 * minutes * np.arange(count),
        *(IdMap(np.arange(n)) for n in (3, 7)),
    )
    assert session_gap(aggregate(heard)) == expected


@pytest.mark.parametrize("kind", ["time", "last_n"])
def test_the_next_part_is_the_latest_of_what_is_before_the_one_before_it(
    kind: Any, listened: Interactions
) -> None:
    whole = listened
    parts = [each.split for each in validation_parts(whole, kind, 3, seed=0, users=100)]
    assert len(parts) == 3
    for later, earlier in itertools.pairwise(parts):
        (alone,) = validation_parts(later.train, kind, 1, seed=1, users=100)
        assert alone.split.fingerprints["train"] == earlier.fingerprints["train"]
        assert np.isin(earlier.train.keys(), later.train.keys()).all()
        assert earlier.validation is not None and later.validation is not None
        assert np.isin(earlier.validation.keys(), later.train.keys()).all()
    assert 3 < len(validation_parts(whole, kind, 1_000, seed=0, users=100)) < 1_000


def test_yambdas_day_before_test_is_what_is_chosen_by() -> None:
    random = np.random.default_rng(0)
    rows = [random.integers(0, high, 400) for high in (20, 30, 4 * 86_400)]
    heard = Listens(
        rows[0], rows[1], np.ones(400), rows[2], *(IdMap(np.arange(n)) for n in (20, 30))
    )
    whole = split(heard, Rules(kind="yambda", seed=0)).train
    (part,) = validation_parts(whole, "yambda", 1, seed=0, users=100)
    expected = split(heard, Rules(kind="yambda", seed=0, validation_fraction=0.1))
    found = part.split
    assert found.validation is not None and expected.validation is not None
    for own, other in ((found.train, expected.train), (found.validation, expected.validation)):
        np.testing.assert_array_equal(own.listens().timestamp, other.listens().timestamp)
        ids = own.items.ids[own.item], other.items.ids[other.item]
        np.testing.assert_array_equal(*ids)
    with pytest.raises(UserError, match=r"expected config\.eval\.seen=include"):
        check_found(found, "exclude")


def test_nothing_to_hold_out_is_said() -> None:
    alone = history(users=40, items=30)
    alone = alone.select(np.r_[True, alone.user[1:] != alone.user[:-1]])
    with pytest.raises(UserError, match=r"none can be held out to choose by"):
        validation_parts(alone, "none", 1, seed=0, users=10)


def test_a_journal_goes_on_after_half_a_line_and_refuses_another_search(tmp_path: Path) -> None:
    path = tmp_path / "auto.jsonl"
    journal = Journal(path, {"seed": 0})
    journal.put({"method": "ease", "settings": {"l2": 2.0}}, {"score": 0.5})
    with path.open("a") as file:
        file.write('{"question": {"meth')
    again = Journal(path, {"seed": 0})
    assert len(again) == 1
    assert again.get({"settings": {"l2": 2.0}, "method": "ease"}) == {"score": 0.5}
    assert again.get({"method": "ease", "settings": {"l2": 3.0}}) is None
    again.put({"a": 1}, 2)
    assert Journal(path, {"seed": 0}).get({"a": 1}) == 2
    with pytest.raises(UserError, match="seed = 0, this one has 1"):
        Journal(path, {"seed": 1})
    path.write_text("[1]\n")
    with pytest.raises(UserError, match="damaged"):
        Journal(path, {"seed": 0})


def test_climbing_finds_the_best_of_what_has_one_peak_and_stops_at_the_most() -> None:
    values = tuple(range(8))
    axes = [("a", values), ("b", values)]
    asked: list[Mapping[str, int]] = []

    def peak_at(top: tuple[int, int]) -> Callable[[Mapping[str, int]], float]:
        def score(settings: Mapping[str, int]) -> float:
            asked.append(settings)
            return -((settings["a"] - top[0]) ** 2) - (settings["b"] - top[1]) ** 2

        return score

    for top in itertools.product((0, 3, 7), (1, 6)):
        asked.clear()
        best = climb({"a": 3, "b": 3, "c": 9}, axes, peak_at(top), most=100)
        assert best == {"a": top[0], "b": top[1], "c": 9}
        assert len(asked) < 16
    asked.clear()
    climb({"a": 3, "b": 3}, axes, peak_at((7, 7)), most=2)
    assert len(asked) == 2


def test_what_was_gaining_when_its_epochs_ended_is_given_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def fit(config: RunConfig, *_: Any, **__: Any) -> Candidate:
        assert config.eval.every_epochs == 1
        asked.append(config.epochs)
        best = min(config.epochs, 15)
        return Candidate(best / 100, best)

    monkeypatch.setattr(trials, "fit_candidate", fit)
    console = Console(quiet=True)
    cases: list[tuple[int, dict[str, int], set[str], int, list[int]]] = [
        (12, {"epochs": 24}, set(), 0, [12, 24]),
        (12, {}, set(), 0, [12]),  # there is no time for more
        (17, {"epochs": 34}, set(), 3, [17, 34]),  # patience was waiting
        (18, {"epochs": 36}, set(), 3, [18]),
        (16, {"epochs": 32}, set(), 0, [16]),
        (12, {"epochs": 24, "eval.every_epochs": 4}, {"eval.every_epochs"}, 0, [12, 24]),
        (10, {"epochs": 20}, {"epochs"}, 0, [10]),
    ]
    for epochs, longer, fixed, patience, tried in cases:
        asked.clear()
        start = {"epochs": epochs, "lr": 0.01, "eval.patience": patience}
        search = Search("gcn", start, [("lr", (0.01,))], 1, "steps", longer)
        found = Trials(
            RunConfig(), frozenset(fixed), [], "settings", Journal(None, {}), console
        ).search(search)
        assert asked == tried
        assert found is not None and found.settings["epochs"] == min(tried[-1], 15)


@pytest.mark.parametrize(
    ("gain", "behind", "chosen", "epochs"),
    [
        (1.03, 0.985, 256, [12, 12, 12]),
        (1.03, 0.975, 256, [12, 12, 8]),
        (1.008, 0.985, 64, [12, 12, 12]),  # keeps up with its price, and is not worth it
        (1.002, 0.975, 64, [12, 8, 8]),
        (0.97, 0.985, 64, [12, 8, 12]),
    ],
)
def test_what_is_dear_must_be_better_by_its_price_and_ends_early_if_it_is_not(
    monkeypatch: pytest.MonkeyPatch, gain: float, behind: float, chosen: int, epochs: list[int]
) -> None:
    trained: list[int] = []

    def fit(config: RunConfig, *_: Any, give_up: Callable[[int, float], bool], **__: Any) -> Any:
        score = {64: 0.5, 256: 0.5 * gain}[config.model.dim] * {0.01: 1, 0.005: behind}[config.lr]
        for epoch in (4, 8, 12):
            if give_up(epoch, score):
                break
        trained.append(epoch)
        return Candidate(score, epoch, models=(config,))  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "fit_candidate", fit)
    search = Search(
        "gcn",
        {"model.dim": 64, "lr": 0.01, "epochs": 12},
        [("model.dim", (64, 256)), ("lr", (0.005, 0.01))],
        9,
        "steps",
        dear={"model.dim": {256: 1.01}},
    )
    tried = Trials(RunConfig(), frozenset(), [], "x", Journal(None, {}), Console(quiet=True))
    found = tried.search(search)
    assert found is not None and found.settings["model.dim"] == chosen
    assert found.score == pytest.approx(0.5 * (gain if chosen == 256 else 1))
    assert trained == epochs  # 64 numbers, 256, and another rate of the better ones
    (kept,) = tried.models(found)  # the best ones', fitted once
    assert kept.model.dim == chosen and len(trained) == 3  # type: ignore[attr-defined]


def luck(seed: int, mean: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.1, (1_000, 1))


def test_of_two_blends_one_is_preferred_that_a_rule_speaks_against_by_chance_alone() -> None:
    old = [np.full((100, 2), 0.5)] * 2
    better, worse = old[0] + 0.01, old[0] - 0.01
    by_chance = worse.copy()
    by_chance[0] += 0.9  # one user's, and so the mean's error is about as large as the mean
    assert is_preferred([better, better], old) and is_preferred([better, by_chance], old)
    assert not is_preferred([better, worse], old) and not is_preferred(old, old)
    assert not is_preferred([by_chance, better], old)


def test_a_member_that_helps_by_chance_alone_is_left_out_and_one_that_helps_is_taken() -> None:
    def figures(weights: Mapping[str, float]) -> list[np.ndarray]:
        total = sum(weights.values())
        share = {name: weight / total for name, weight in weights.items()}
        # b helps beside a; c is worse; d brings noise around nothing.
        gain = 0.08 * share["b"] * (1 - share["b"]) - 0.1 * share["c"]
        noise = [share["d"] * 0.03 * luck(seed, 0.0) / 0.1 for seed in (1, 2)]
        return [luck(0, 0.3 + gain) + each for each in noise]

    weights = choose_weights(["a", "b", "c", "d"], figures, fixed={})
    assert weights["a"] > 0 and weights["b"] > 0
    assert weights["c"] == weights["d"] == 0
    assert choose_weights(["a", "c"], lambda w: figures({"b": 0, "d": 0, **w}), fixed={}) == {
        "a": 1.0,
        "c": 0.0,
    }
    fixed = choose_weights(["a", "b", "c", "d"], figures, fixed={"c": 0.7})
    assert fixed["c"] == 0.7


def test_a_member_needs_less_where_it_is_weighed_on_several_parts_that_chose_nothing() -> None:
    noise = np.random.default_rng(3).standard_normal((400, 1))
    noise = (noise - noise.mean()) / noise.std()

    def figures(weights: Mapping[str, float]) -> list[np.ndarray]:
        share = weights["b"] / sum(weights.values())
        return [0.3 - 0.5 * (share == 1) + share * (0.075 + noise)]  # one and a half errors

    first, *others = (object() for _ in range(5))
    cases = [
        ([first], others, True),
        ([first], others[:1], False),  # one part
        ([first], [first, *others], False),  # one of them has chosen
    ]
    for chose, judge, taken in cases:
        parts: Any = SimpleNamespace(network=chose, fresh=judge)
        needed = needed_of_a_member(parts)
        weights = choose_weights(["a", "b"], figures, fixed={"a": 1.0}, new_member=needed)
        assert (weights["b"] > 0) == taken


def test_what_helps_on_one_part_and_harms_on_the_other_is_left_out() -> None:
    def figures(weights: Mapping[str, float]) -> list[np.ndarray]:
        share = weights["b"] / sum(weights.values())
        return [luck(0, 0.3 + 0.2 * share), luck(1, 0.3 - 0.05 * share)]

    def only_good(weights: Mapping[str, float]) -> list[np.ndarray]:
        return figures(weights)[:1]

    fixed = {"a": 1.0}
    assert choose_weights(["a", "b"], figures, fixed=fixed)["b"] == 0
    assert choose_weights(["a", "b"], only_good, fixed=fixed)["b"] > 0


def test_what_helps_in_one_metric_and_harms_in_the_other_is_left_out() -> None:
    def figures(weights: Mapping[str, float]) -> list[np.ndarray]:
        share = weights["b"] / sum(weights.values())
        return [np.hstack([luck(0, 0.3 + 0.2 * share), luck(1, 0.3 - 0.05 * share)])]

    assert choose_weights(["a", "b"], figures, fixed={"a": 1.0})["b"] == 0


@pytest.fixture(scope="module")
def listened(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    """What is learnt from of a history in which listeners come back."""
    path = write(tmp_path_factory.mktemp("by_time") / "listens.csv", listens())
    return prepare_split(config_by_time(path), Console(quiet=True)).train


def test_by_time_a_part_has_the_latest_listens_and_what_is_heard_again(
    listened: Interactions,
) -> None:
    (part,) = (each.split for each in validation_parts(listened, "time", 1, seed=0, users=30))
    before, after = part.train.events, part.validation.events
    assert before.timestamp.max() < before.until <= after.timestamp.min()
    assert len(np.unique(part.validation.user)) == 30
    np.testing.assert_array_equal(before.total(before.plays), part.train.plays)
    again = np.isin(part.validation.keys(), part.train.keys())
    assert again.any() and not again.all()


@pytest.mark.parametrize("seen", ["exclude", "include", "only"])
def test_a_pool_heeds_what_was_known_as_an_evaluation_does(
    listened: Interactions, seen: Any
) -> None:
    (part,) = (each.split for each in validation_parts(listened, "time", 1, seed=0, users=100))
    models = {
        name: closed_forms.fit(name, settings, part.train, seed=0)
        for name, settings in (
            ("own_plays", {}),
            ("ease", {"l2": 5.0}),
        )
    }
    config = with_fields(
        RunConfig(eval=EvalConfig(ks=(5,), seen=seen)),
        {"history.weight": "raw", "history.half_life_days": 2.0},
    )
    measure = Measure(config, part, peek=False)
    pool = make_pool(
        models, measure, leaders=list(models.values()), standardise=True, memory_budget_mb=64
    )
    both = blend(list(models.values()), [1.0, 0.6], item_users(part.train) > 0)
    expected = measure.of_all("validation", both, (5,)).per_user["ndcg@5"]
    hits = pool.ranked({"own_plays": 1.0, "ease": 0.6}, 20, slice(None))
    found = pool.figures(hits, ["recall@20", "ndcg@5"])[:, 1]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_network_is_judged_by_the_scores_that_it_ranks_by(listened: Interactions) -> None:
    parts = validation_parts(listened, "time", 1, seed=0, users=100)
    ages = {WEIGHT: "log", HALF_LIFE: 2.0, LEARNT: 9.0}  # what is learnt has weights of its own
    config = with_fields(RunConfig(), ages | {"method": "gcn", "epochs": 1, "model.layers": 1})
    chosen = {
        ranking.LENGTH: 1.5,
        ranking.WEIGHT: 4.0,
        ranking.EXPONENT: 0.2,
        ranking.LONGER: 0.3,
    }
    train, measured = parts[0].split.train, Measured(config, parts)
    plain = fit_method(with_fields(config, {ranking.WEIGHT: 0.0}), train, Hooks(unseen))
    (judged,) = ranking.ranked([plain], measured, chosen)
    expected = fit_method(with_fields(config, chosen), train, Hooks(unseen))
    (histories,) = measured.histories
    found, wanted = (np.asarray(each.scores(histories)) for each in (judged, expected))
    # Trained twice; off the CPU gradients are added in any order.
    np.testing.assert_allclose(found, wanted, rtol=0 if ON_CPU else 1e-4)


def test_the_best_settings_are_fitted_again_for_the_epochs_that_were_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of however many are fixed: after a stop as before, when their models were kept."""
    fitted: list[int] = []

    def fit(config: RunConfig, *_: Any, **__: Any) -> tuple[Any, ...]:
        fitted.append(config.epochs)
        return ()

    monkeypatch.setattr(trials, "fit_models", fit)
    config = with_fields(RunConfig(), {"epochs": 12})
    journal, console = Journal(None, {}), Console(quiet=True)
    for fixed in (frozenset[str](), frozenset({"epochs"})):
        again = Trials(config, fixed, (), "settings", journal, console)
        again.models(Finalist("gcn", {"epochs": 4, "eval.every_epochs": 2}, 0.5, 3))
    assert fitted == [4, 4]


@pytest.mark.parametrize(
    ("length", "weight", "exponent", "longer"),
    [(0.5, 0.0, 0.2, 0.6), (1.5, 0.5, 0.65, 0.0), (0.8, 8.0, 0.05, 0.6), (1.0, 2.0, 0.35, 0.3)],
)
def test_what_counts_at_ranking_is_judged_as_an_evaluation_judges_it(
    listened: Interactions, length: float, weight: float, exponent: float, longer: float
) -> None:
    """Though three models' scores stand for those of all lengths and walks."""
    values = (length, weight, exponent, longer)
    chosen = dict(zip(ranking.FIELDS, values, strict=True))
    parts = validation_parts(listened, "time", 2, seed=0, users=100)
    config = RunConfig(eval=EvalConfig(metric="recall@5"))
    config = with_fields(config, {"method": "gcn", "epochs": 2, "model.layers": 1} | chosen)
    measured = Measured(config, parts)
    plain = with_fields(config, {ranking.WEIGHT: 0.0, ranking.LENGTH: 1.0})
    trained = [fit_method(plain, part.split.train, Hooks(unseen)) for part in parts]
    fixed = frozenset(ranking.FIELDS)
    found, *_ = ranking.choose_ranking(trained, measured, fixed, with_walks=True)
    ranked = zip(parts, ranking.ranked(trained, measured, chosen), strict=True)
    per_user = [
        Measure(config, part.split, peek=False)
        .of_all("validation", model, (5,))
        .per_user["recall@5"]
        for part, model in ranked
    ]
    assert found.values == chosen
    expected = np.concatenate(per_user).mean()
    assert 0.2 < expected < 0.9
    assert found.score == pytest.approx(expected, abs=1e-9)


def test_how_listens_age_is_chosen_where_it_is_free_and_remembered(
    listened: Interactions, tmp_path: Path
) -> None:
    parts = validation_parts(listened, "time", 1, seed=0, users=100)
    config = RunConfig(eval=EvalConfig(seen="include", metric="ndcg@5"))
    journal = Journal(tmp_path / "auto.jsonl", {})
    console = Console(quiet=True)
    chosen = choose_history(config, frozenset(), parts, journal, console)

    def score(fields: dict[str, Any]) -> float:
        own = with_fields(config, fields)
        probe = fit_method(with_fields(own, PROBE), parts[0].split.train, Hooks(unseen))
        return Measure(own, parts[0].split, peek=False).score("validation", probe)

    aged = chosen.history
    fields = {WEIGHT: aged.weight, HALF_LIFE: aged.half_life_days}
    best = score(fields | {LEARNT: aged.learnt_half_life_days})
    tried = [score({WEIGHT: w, HALF_LIFE: h}) for w in WEIGHTS for h in (None, 7.0, 1.0)]
    assert best >= max(tried) > min(tried)
    assert best >= score(fields)  # learnt half-lives are tried beside none
    kept = choose_history(config, frozenset({LEARNT}), parts, journal, console).history
    assert kept.learnt_half_life_days is None
    assert score(fields) >= max(tried)
    again = choose_history(config, frozenset(), (), Journal(journal.path, {}), console)
    assert again == chosen
    fixed = frozenset({WEIGHT, HALF_LIFE, LEARNT})
    assert choose_history(config, fixed, parts, journal, console) == config
    (one,) = {choose_history(config, frozenset({WEIGHT}), parts, journal, console).history.weight}
    assert one == config.history.weight
    untimed = validation_parts(history(), "random", 1, seed=0, users=100)
    assert choose_history(config, frozenset(), untimed, journal, console) == config


def test_rivals_that_need_times_are_tried_where_there_are_any(listened: Interactions) -> None:
    for seen, own in (("exclude", set()), ("include", {"own_plays"}), ("only", {"own_plays"})):
        config = RunConfig(eval=EvalConfig(seen=seen))
        methods = {search.method for search in searches(listened, config, "normal")}
        assert methods == {"recent_popular", "transitions", "sessions"} | own
    assert searches(history(), RunConfig(), "normal") == ()


def test_a_method_that_a_fresh_part_refuses_is_left_out_and_the_search_goes_on() -> None:
    class Refusing:
        def models(self, finalist: Finalist) -> tuple[str, ...]:
            if finalist.method in refused:
                raise UserError("config.baseline.ease.l2 is 1e-9; expected a larger number. Really")
            return (finalist.method,)

    class Scoring:
        config = RunConfig()

        def pools(self, models: Sequence[Mapping[str, Any]], **_: Any) -> list[str]:
            return sorted(models[0])

        def figures(self, pools: Any, weights: Mapping[str, float]) -> list[np.ndarray]:
            return [np.full((5, 2), weights["itemknn"])]

        def score(self, pools: Any, weights: Mapping[str, float]) -> float:
            return weights["itemknn"]

    both = [Finalist(name, {}, 0.5, 1) for name in ("ease", "itemknn")]
    judges: Any = (Refusing(), Scoring(), frozenset(), Console(quiet=True), 2.0)
    refused = {"ease"}
    answer = recipe._blend(both, *judges)
    assert set(answer["weights"]) == set(answer["alone"]) == {"itemknn"}
    refused = {"ease", "itemknn"}
    with pytest.raises(UserError, match="no method can be fitted to these data"):
        recipe._blend(both, *judges)


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ((0.02, 0.01), {"gcn": 1.0, "ease": 1.0}),  # by both rules
        ((0.02, -0.01), {"gcn with walks": 1.0}),  # and surely so: for everybody
        ((-0.01, 0.02), {"gcn with walks": 1.0}),
    ],
)
def test_beside_others_a_network_without_walks_is_taken_where_no_rule_surely_speaks_against_it(
    gains: tuple[float, float], chosen: dict[str, float]
) -> None:
    """Beside EASE the one without walks gains, by all it takes; the other one never does."""
    walks = {ranking.WEIGHT: 4.0}
    finalists = [
        Finalist("ease", {}, 0.1, 1),
        Finalist("gcn", walks, 0.2, 1),
        Finalist("gcn", {ranking.WEIGHT: 0.0}, 0.19, 1),
    ]

    class Scoring:
        config = RunConfig()

        def pools(self, models: Sequence[Mapping[str, Any]], **_: Any) -> list[str]:
            return sorted(models[0])

        def figures(self, _: Any, weights: Mapping[str, float]) -> list[np.ndarray]:
            counted = {name: weight for name, weight in weights.items() if weight}
            assert not {"gcn", "gcn with walks"} <= set(counted)
            if counted == {"gcn": 1.0, "ease": 1.0}:
                by_rule = [0.2 + gain for gain in gains]
            else:
                by_rule = [0.2, 0.2] if counted == {"gcn with walks": 1.0} else [0.1, 0.1]
                by_rule = [0.15, 0.15] if counted == {"gcn": 1.0} else by_rule
            return [np.full((5, 2), each) for each in by_rule]

        def score(self, pools: Any, weights: Mapping[str, float]) -> float:
            return float(self.figures(pools, weights)[0].mean())

    class Fitting:
        def models(self, finalist: Finalist) -> tuple[str, ...]:
            return (finalist.method,)

    judges: Any = (Fitting(), Scoring(), frozenset(), Console(quiet=True), 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "ranked", lambda models, *_: models)
        answer = recipe._blend(finalists, *judges)
    assert {name: weight for name, weight in answer["weights"].items() if weight} == chosen
    assert set(answer["alone"]) == {"ease", "gcn", "gcn with walks"}


@pytest.mark.parametrize("effort", ["quick", "normal", "thorough"])
def test_a_plan_follows_the_size_alone_and_always_tries_something(effort: Any) -> None:
    sizes = {
        "small": Size(users=100, items=300, edges=2_000, pairs=50_000),
        "gowalla": Size(users=29_858, items=40_981, edges=810_128, pairs=100_000_000),
        "large": Size(users=1_250_000, items=500_000, edges=36_000_000, pairs=10**10),
    }
    plans = {
        name: plan(size, effort, parts=2, closed_forms=4, fresh=4) for name, size in sizes.items()
    }
    assert plans == {
        name: plan(size, effort, parts=2, closed_forms=4, fresh=4) for name, size in sizes.items()
    }
    for name, planned in plans.items():
        methods = [search.method for search in planned.searches]
        assert "gcn" in methods
        assert planned.walks == ("walks" in methods) == (name != "large")
        parts, users = parts_and_users(sizes[name], effort)
        few = name == "small"
        assert parts == ({"quick": 1, "normal": 2, "thorough": 4}[effort] if few else 1)
        fresh = more_parts(sizes[name], effort)
        assert fresh == ({"quick": 2, "normal": 4, "thorough": 8}[effort] if few else 1)
        assert users >= 500
        for search in planned.searches:
            assert search.most >= 1
            assert all(search.start[field] in values for field, values in search.axes)
        (network,) = (search for search in planned.searches if search.method == "gcn")
        times = network.longer.get("epochs", 0) / network.start["epochs"]
        no_time = name == "large" or (name, effort) == ("gowalla", "quick")
        assert times == (0 if no_time else 3)
        assert network.start["eval.every_epochs"] == max(2, network.start["epochs"] // 10)
        assert ("ease" in methods) == (name == "small" or (name, effort) == ("gowalla", "thorough"))
    work = {
        name: sum(search.most * search.start.get("epochs", 1) for search in planned.searches)
        for name, planned in plans.items()
    }
    assert work["large"] < work["gowalla"] <= work["small"]


@pytest.mark.parametrize(
    ("users", "items", "most", "parts"),
    [
        (50_000, 5_000, 5, 4),
        (50_000, 13_000, 2, 2),
        (50_000, 17_000, 2, 1),
        (50_000, 22_000, 1, 1),
        (50_000, 23_000, 0, 1),
        (5_000, 23_000, 5, 4),  # EASE goes by the users
    ],
)
def test_where_there_is_work_for_few_fits_they_are_settings_and_not_parts(
    users: int, items: int, most: int, parts: int
) -> None:
    size = Size(users=users, items=items, edges=200_000, pairs=10_000_000)
    assert _settings_and_parts(size, "ease") == ([(most, parts)] if most else [])


def _settings_and_parts(size: Size, method: str) -> list[tuple[int, int]]:
    """Of a method's search, where there is one."""
    planned = plan(size, "normal", parts=1, closed_forms=4, fresh=4)
    return [(each.most, each.parts) for each in planned.searches if each.method == method]


@pytest.mark.parametrize(
    ("items", "pairs", "most", "parts"),
    [
        (4_000, 10_000_000, 8, 4),
        (22_000, 110_000_000, 2, 2),
        (40_000, 60_000_000, 0, 1),
        (200_000, 300_000_000, 0, 1),
        (4_000, 4_000_000_000, 1, 1),  # the neighbours are to be found, too
        (26_000, 2_000_000_000, 0, 1),  # and products made again and again
    ],
)
def test_slim_has_time_where_there_are_not_too_many_items_or_products_of_them(
    items: int, pairs: int, most: int, parts: int
) -> None:
    size = Size(users=50_000, items=items, edges=200_000, pairs=pairs)
    assert _settings_and_parts(size, "slim") == ([(most, parts)] if most else [])


class TwoPeaks:
    """Parts on which a little of walks is good, and much of them with short vectors is better."""

    config, histories, known = RunConfig(), (), ()

    def pools(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def figures(self, _: Any, weights: Mapping[str, float]) -> list[np.ndarray]:
        network, *walks = weights
        assert weights[network] == 1.0
        weight = weights[walks[0]] if walks else 0.0
        length = float(network.split()[1])
        near = 0.20 - 0.01 * abs(length - 1) - 0.01 * abs(weight - 1)
        far = 0.21 - 0.04 * abs(length - 0.5) - 0.01 * abs(weight - 8)
        users = np.full((100, 2), max(near, far))
        if (length, weight) == (2.0, 0.25):  # better by one metric alone, and worse by both
            users += (0.1, -0.11)
        if (length, weight) == (1.25, 1.0):  # for one user alone, which may be luck
            users[0] += 1.5
        return [users]

    def score(self, pools: Any, weights: Mapping[str, float]) -> float:
        return float(self.figures(pools, weights)[0][:, 0].mean())


def test_what_counts_at_ranking_is_sought_from_many_starts_by_both_metrics_and_not_by_luck() -> (
    None
):
    parts: Any = TwoPeaks()
    best, usual, without = ranking.choose_ranking([], parts, frozenset(), with_walks=True)
    assert (best.values[ranking.LENGTH], best.values[ranking.WEIGHT]) == (0.5, 8.0)
    assert best.score == pytest.approx(0.21)
    assert (usual.values, usual.score) == (ranking.USUAL, pytest.approx(0.168))
    assert without.values == ranking.USUAL | {ranking.WEIGHT: 0.0}
    assert without.score == pytest.approx(0.188)
    parts.config = with_fields(RunConfig(), {ranking.WEIGHT: 1.0})
    free = frozenset({ranking.WEIGHT})
    best, usual, without = ranking.choose_ranking([], parts, free, with_walks=True)
    assert without == usual
    assert (best.values[ranking.LENGTH], best.values[ranking.WEIGHT]) == (1.0, 1.0)
    assert usual.values == ranking.USUAL | {ranking.WEIGHT: 1.0}


@pytest.mark.parametrize(
    ("judged", "weight"),
    [("by the same parts", 8.0), ("better", 8.0), ("worse", 4.0), ("refused", 4.0)],
)
def test_what_counts_at_ranking_is_refused_by_parts_that_did_not_choose_it(
    judged: str, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fitting:
        def __init__(self, refuses: bool) -> None:
            self.refuses = refuses

        def models(self, finalist: Finalist) -> tuple[()]:
            if self.refuses:
                raise RunError("the loss became NaN. Really")
            return ()

        def forget(self) -> None:
            pass

    best = ranking.Choice(ranking.USUAL | {ranking.WEIGHT: 8.0}, 0.2)
    usual = ranking.Choice(ranking.USUAL, 0.1)
    without = ranking.Choice(ranking.USUAL | {ranking.WEIGHT: 0.0}, 0.05)
    monkeypatch.setattr(ranking, "choose_ranking", lambda *_, **__: (best, usual, without))
    monkeypatch.setattr(ranking, "holds", lambda *_: judged == "better")
    parts: Any = None
    choosers = judges = recipe._Side(cast("Any", Fitting(False)), parts)
    if judged != "by the same parts":
        judges = recipe._Side(cast("Any", Fitting(judged == "refused")), parts)
    found, alone = recipe._with_ranking(
        Finalist("gcn", {"epochs": 3}, 0.15, 1),
        *(choosers, judges, frozenset(), Plan(1, (), walks=True)),
        *(Journal(None, {}), Console(quiet=True)),
    )
    assert found.settings["epochs"] == 3 and found.settings[ranking.WEIGHT] == weight
    assert found.score == (0.2 if weight == 8.0 else 0.1)
    assert (found.name, alone.name, alone.score) == ("gcn with walks", "gcn", 0.05)
    assert alone.settings == {"epochs": 3, ranking.LENGTH: 0.8, ranking.WEIGHT: 0.0}


@pytest.mark.parametrize(("gains", "holds"), [((0.01, 0.02), True), ((0.03, -0.01), False)])
def test_what_was_chosen_holds_where_no_rule_speaks_against_it(
    gains: tuple[float, float], holds: bool
) -> None:
    class Rules(TwoPeaks):
        def figures(self, _: Any, weights: Mapping[str, float]) -> list[np.ndarray]:
            chosen = "network 0.5" in weights
            return [np.full((10, 2), 0.2 + chosen * gain) for gain in gains]

    parts: Any = Rules()
    chosen = ranking.USUAL | {ranking.LENGTH: 0.5}
    assert ranking.holds(chosen, ranking.USUAL, [], parts) == holds
