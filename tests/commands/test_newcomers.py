"""Listeners who came after the moment are measured apart, by what they listened to first."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig, with_fields
from jaxrec.data.cold import first_of_each_user
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.rank.newcomers import Newcomers
from jaxrec.runs.record import load_run
from jaxrec.runs.results import read_results
from jaxrec.runs.run_folder import RunFolder
from tests.listening import DAY, MOMENT, config_by_time, listens, write
from tests.recommending import recommend

# By newcomer the songs in the order of hearing; the last two have nothing to be found.
LATER = {
    "new-a": ["s00", "s03", "s00", "s06", "s03", "s03", "s09"],
    "new-b": ["s01", "s04", "s07", "s07", "unheard"],
    "new-c": ["s02", "s02"],
    "new-d": ["unheard"],
}
FIRST = {"new-a": ["s00", "s03"], "new-b": ["s01", "s04"]}  # half of four, and of three
REST = {"new-a": {"s06", "s09"}, "new-b": {"s07"}}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    rows = listens()
    for user, songs in LATER.items():
        rows += [(user, song, MOMENT + DAY + place) for place, song in enumerate(songs)]
    path = write(tmp_path_factory.mktemp("newcomers") / "listens.csv", rows)
    return config_by_time(path, method="itemknn", eval__cold="fold_in")


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomers") / "run"
    commands.train(config, folder)
    return folder


def test_they_have_a_view_of_their_own_with_their_users_and_intervals(run: Path) -> None:
    results = read_results(run)
    assert set(results.views) == {"exclude", "include", "only", "new"}
    view = results.views["new"]
    assert view.per_user["user"].to_pylist() == list(FIRST) and view.users == len(FIRST)
    assert view.seen == "new" and view.protocol["history"] == "the first 50% of a user's items"
    for figure in view.metrics["model"].values():
        assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
    assert results.metrics == results.views["exclude"].metrics


def test_their_figures_are_those_of_the_lists_that_recommend_gives_for_their_first_songs(
    run: Path, tmp_path: Path
) -> None:
    rows = [
        (user, song, MOMENT + 2 * DAY + place)
        for user, songs in FIRST.items()
        for place, song in enumerate(songs)
    ]
    histories = write(tmp_path / "first.csv", rows)
    recommend(run, k=5, histories=histories, output=tmp_path / "lists.parquet")
    lists: dict[str, list[str]] = {}
    for row in pq.read_table(tmp_path / "lists.parquet").to_pylist():
        lists.setdefault(row["user"], []).append(row["item"])
    hits = {user: len(REST[user] & set(lists[user])) / len(REST[user]) for user in REST}
    per_user = read_results(run).views["new"].per_user
    found = dict(zip(*(per_user[name].to_pylist() for name in ("user", "recall@5")), strict=True))
    assert found == pytest.approx(hits)


def test_the_figures_of_the_others_do_not_change(run: Path, config: RunConfig) -> None:
    without = dataclasses.replace(config.eval, cold="leave_out")
    commands.evaluate(run, config=dataclasses.replace(config, eval=without), step=None)
    results = read_results(run)
    assert "new" not in results.views
    commands.evaluate(run, config=config, step=None)
    again = read_results(run)
    assert again.metrics == results.metrics and again.views["new"].users == len(FIRST)


def test_as_many_of_them_are_measured_as_of_the_others(run: Path, config: RunConfig) -> None:
    everybody = read_results(run).views["new"]
    few = with_fields(config, {"eval.most_users": 1})
    commands.evaluate(run, config=few, step=None)
    results = read_results(run)
    assert results.users == results.views["new"].users == 1 < everybody.users
    assert results.views["new"].drawn_from == everybody.users
    (user,) = results.views["new"].per_user["user"].to_pylist()
    place = everybody.per_user["user"].to_pylist().index(user)
    for name in everybody.per_user.column_names:
        assert results.views["new"].per_user[name][0] == everybody.per_user[name][place]


def test_they_are_shown_and_compared(
    run: Path, config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = dataclasses.replace(config, quiet=False)
    commands.evaluate(run, config=loud, step=None)
    assert "listeners who came since, 2 users" in capsys.readouterr().out
    commands.train(dataclasses.replace(config, method="most_popular"), tmp_path / "other")
    commands.compare([tmp_path / "other", run], output=tmp_path / "table.json")
    rows = json.loads((tmp_path / "table.json").read_text())["comparisons"]
    assert {row["seen"] for row in rows} == {"exclude", "include", "only", "new"}


def test_a_run_that_is_opened_again_measures_the_same(run: Path, config: RunConfig) -> None:
    """Ages of listens count here, so that they must be kept, too."""
    split = load_run(RunFolder(run)).split
    by_age = dataclasses.replace(
        config, history=dataclasses.replace(config.history, half_life_days=0.001)
    )
    newcomers = Newcomers.of(split, by_age)
    assert newcomers is not None
    histories = newcomers.histories()
    user = int(newcomers.users[0])
    weights = histories.weights[histories.offsets[user] : histories.offsets[user + 1]]
    assert len(weights) == len(FIRST["new-a"])
    # Of its two songs the first was heard again, a second after the other one, which was heard
    # again only after what is to be found.
    assert weights[0] > weights[1]


def test_nobody_to_be_measured_is_said_before_anything_is_fitted(tmp_path: Path) -> None:
    path = write(tmp_path / "listens.csv", listens())
    config = config_by_time(path, method="itemknn", eval__cold="fold_in")
    with pytest.raises(UserError, match="nobody came after the moment with two songs"):
        commands.train(config, tmp_path / "run")
    config = config_by_time(path, data__split="random", data__moment=None, eval__cold="fold_in")
    with pytest.raises(UserError, match=r"data\.split is 'random', which knows no moment"):
        commands.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shares_are_rounded_and_leave_something_on_both_sides() -> None:
    count = np.array([1, 2, 3, 7])
    user = np.repeat(np.arange(4), count)
    times = np.concatenate([np.arange(each)[::-1] for each in count])
    known = Interactions(
        user=user.astype(np.int32),
        item=np.concatenate([np.arange(each) for each in count]).astype(np.int32),
        plays=np.ones(13),
        timestamp=times,
        users=IdMap(np.arange(4)),
        items=IdMap(np.arange(7)),
    )
    for share, expected in ((0.01, [0, 1, 1, 1]), (0.5, [0, 1, 2, 4]), (0.99, [0, 1, 2, 6])):
        first = first_of_each_user(known, share)
        assert np.bincount(user[first], minlength=4).tolist() == expected
        for one in range(4):
            own, chosen = times[user == one], first[user == one]
            assert not chosen.any() or own[chosen].max() < own[~chosen].min()
