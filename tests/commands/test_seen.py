"""What listeners knew before: measured apart, listed or left out, and shown."""

import dataclasses
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import read_config
from jaxrec.errors import UserError
from jaxrec.runs.record import load_run
from jaxrec.runs.results import read_results
from jaxrec.runs.run_folder import RunFolder
from tests.listening import DAY, MOMENT, USERS, config_by_time, listens, write
from tests.recommending import recommend

SEEN = ("exclude", "include", "only")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ItemKNN on a history cut by time."""
    folder = tmp_path_factory.mktemp("seen")
    config = config_by_time(write(folder / "listens.csv", listens()), method="itemknn")
    commands.train(config, folder / "run")
    return folder / "run"


def known_and_found() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """By user the songs listened to before the moment, and those after it that were known then."""
    before, after = defaultdict(set), defaultdict(set)
    for user, song, time in listens():
        (before if time < MOMENT else after)[user].add(song)
    songs = set().union(*before.values())
    return before, {user: found & songs for user, found in after.items()}


def test_each_view_is_a_measurement_of_its_own(run: Path) -> None:
    before, found = known_and_found()
    results = read_results(run)
    assert tuple(results.views) == SEEN and results.seen == "exclude"
    wanted = {
        "exclude": {user for user in found if found[user] - before[user]},
        "include": {user for user in found if found[user]},
        "only": {user for user in found if found[user] & before[user]},
    }
    for seen, view in results.views.items():
        assert set(view.per_user["user"].to_pylist()) == wanted[seen]
        assert view.users == len(wanted[seen]) == view.protocol["users"]
        assert view.seen == seen and set(view.metrics) == {"model", "most_popular"}
        assert all(
            0 <= f["low"] <= f["mean"] <= f["high"] <= 1 for f in view.metrics["model"].values()
        )
    assert results.metrics == results.views["exclude"].metrics


def test_evaluate_takes_another_of_them_as_its_own(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_run(RunFolder(run)).config
    include = dataclasses.replace(config.eval, seen="include")
    before = read_results(run)
    commands.evaluate(run, config=dataclasses.replace(config, eval=include, quiet=False), step=None)
    shown = capsys.readouterr().out
    after = read_results(run)
    assert after.metrics == before.views["include"].metrics
    assert {seen: each.metrics for seen, each in after.views.items()} == {
        seen: each.metrics for seen, each in before.views.items()
    }
    users = {seen: f"{each.users} users" for seen, each in after.views.items()}
    assert f"discovery, {users['exclude']}" in shown and f"again, {users['only']}" in shown
    commands.evaluate(run, config=None, step=None)  # as it was


def test_a_sample_has_what_is_new_and_what_may_be_heard_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "listens.csv", listens())
    commands.train(config_by_time(path, method="most_popular", quiet=False), tmp_path / "run")
    shown = capsys.readouterr().out
    assert "new for you" in shown and "again" in shown
    assert "were known before (heard again)" in shown


def test_lists_leave_out_what_is_known_or_have_nothing_else(run: Path, tmp_path: Path) -> None:
    heard = defaultdict(set)
    for user, song, _ in listens():
        heard[user].add(song)
    lists = {}
    for seen in SEEN:
        output = tmp_path / f"{seen}.parquet"
        recommend(run, k=100, output=output, users=None, users_file=None, seen=seen, step=None)
        lists[seen] = defaultdict(list)
        for row in pq.read_table(output).to_pylist():
            lists[seen][row["user"]].append((row["item"], row["score"]))
    for user, known in heard.items():
        assert {song for song, _ in lists["only"][user]} == known
        assert not {song for song, _ in lists["exclude"][user]} & known
        everything = sorted(lists["only"][user] + lists["exclude"][user])
        assert sorted(lists["include"][user]) == everything
        scores = [score for _, score in lists["only"][user]]
        assert scores == sorted(scores, reverse=True)


def test_runs_are_compared_in_each_view(run: Path, tmp_path: Path) -> None:
    config = load_run(RunFolder(run)).config
    commands.train(dataclasses.replace(config, method="most_popular"), tmp_path / "other")
    commands.compare([tmp_path / "other", run], output=tmp_path / "table.json")
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    rows = table["comparisons"]
    assert [row["seen"] for row in rows if row["metric"] == "ndcg@5"] == list(SEEN)
    results = read_results(run)
    for row in rows:
        mean = results.views[row["seen"]].metrics["model"][row["metric"]]["mean"]
        assert row["mean"] == pytest.approx(mean)
    assert table["correction"] == f"Holm over {len(rows)} comparisons"


def test_a_run_that_is_opened_again_has_the_listens_it_learnt_from(run: Path) -> None:
    split = load_run(RunFolder(run)).split
    events = split.train.events
    assert events is not None and events.until == split.protocol["validation_moment"]
    assert events.timestamp.max() < events.until < MOMENT
    np.testing.assert_array_equal(events.first(), split.train.timestamp)
    np.testing.assert_array_equal(events.total(events.plays), split.train.plays)


def test_what_is_heard_again_can_not_be_asked_for_where_nothing_is(tmp_path: Path) -> None:
    path = write(tmp_path / "listens.csv", listens())
    config = config_by_time(path, data__split="random", method="most_popular", eval__seen="only")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, moment=None))
    with pytest.raises(UserError, match=r"eval\.seen is 'only'.*data\.split=time"):
        commands.train(config, tmp_path / "run")
    with pytest.raises(UserError, match=r"exclude, include, only"):
        read_config({"eval": {"seen": "never"}})


def comes_back(*, something_new: bool) -> list[tuple[str, str, int]]:
    """A song a day for eight days, one of them again and again, and then again or one more."""
    rows = []
    for user in range(USERS):
        songs = [f"s{user % 3}-{(user + song) % 10}" for song in range(9)]
        begin = MOMENT - 9 * DAY + user
        rows += [(f"u{user:02}", song, begin + day * DAY) for day, song in enumerate(songs[:8])]
        rows += [(f"u{user:02}", songs[0], begin + 8 * DAY)] * 3
        rows += [(f"u{user:02}", songs[8] if something_new else songs[0], MOMENT + user)]
    return rows


@pytest.mark.parametrize(
    ("method", "something_new"), [("itemknn", False), ("auto", False), ("auto", True)]
)
def test_where_everybody_only_comes_back_it_is_said_before_anything_is_fitted(
    tmp_path: Path, method: str, something_new: bool
) -> None:
    """Of test, and of what auto itself holds out of train."""
    path = write(tmp_path / "listens.csv", comes_back(something_new=something_new))
    config = config_by_time(path, method=method, data__validation_fraction=0.0)
    part = "validation" if something_new else "test"
    with pytest.raises(
        UserError, match=rf"the {part} part was known before; expected config\.eval\.seen=include"
    ):
        commands.train(config, tmp_path / "run")
    found = tmp_path / "run"
    assert not [path.name for path in found.glob("*") if path.suffix in (".json", ".jsonl")]


def test_where_everybody_only_comes_back_that_is_measured_when_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "listens.csv", comes_back(something_new=False))
    config = config_by_time(path, method="itemknn", data__validation_fraction=0.0)
    include = dataclasses.replace(config, eval=dataclasses.replace(config.eval, seen="include"))
    commands.train(include, tmp_path / "run")
    assert read_results(tmp_path / "run").users == USERS
