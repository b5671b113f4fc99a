"""At the end everybody is measured, or as many as `eval.most_users` says, the same for all runs."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig, with_fields
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs import results as measured_results
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.results import measure_finally, read_results
from tests.checkerboard import config_of


def test_no_more_users_are_measured_than_asked_for_and_their_figures_are_as_of_all(
    checkerboard: Path,
) -> None:
    config = config_of(checkerboard, data__split="random")
    split = prepare_split(config, Console(quiet=True))
    everybody, some = (
        Measure(with_fields(config, {"eval.most_users": most, "seed": seed}), split)
        for most, seed in ((None, 0), (9, 1))
    )
    figures = [
        each.of_all(each.final_part, each.most_popular(), (10,)) for each in (everybody, some)
    ]
    assert len(figures[1].users) == 9 < len(figures[0].users)
    place = np.searchsorted(figures[0].users, figures[1].users)
    for name, values in figures[1].per_user.items():
        np.testing.assert_array_equal(values, figures[0].per_user[name][place])
    assert figures[1].protocol["users_drawn_from"] == len(figures[0].users)
    assert "users_drawn_from" not in figures[0].protocol
    other = Measure(with_fields(config, {"eval.most_users": 9, "seed": 2}), split)
    again = other.of_all(other.final_part, other.most_popular(), (10,))
    np.testing.assert_array_equal(again.users, figures[1].users)


def test_the_table_tells_what_measuring_all_would_take_without_compiling_again(
    checkerboard: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = contextlib.nullcontext(SimpleNamespace(rest=6.0))
    monkeypatch.setattr(measured_results, "CompileClock", lambda: clock)
    config = config_of(
        checkerboard, data__split="random", method="most_popular", eval__most_users=9, quiet=False
    )
    commands.train(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert "9 of 48 users were drawn; to measure all of them would take about 30 seconds" in said
    kept = read_results(tmp_path / "run")
    assert kept.drawn_from == 48 and kept.users == 9
    assert pq.read_table(tmp_path / "run" / "per_user.parquet").num_rows == 9


def test_what_is_not_given_is_measured_as_the_run_was(checkerboard: Path, tmp_path: Path) -> None:
    config = config_of(
        checkerboard, data__split="random", method="most_popular", eval__most_users=9
    )
    commands.train(config, tmp_path / "run")
    other = with_fields(RunConfig(), {"eval.ks": (2,), "quiet": True})
    commands.evaluate(tmp_path / "run", config=other, step=None, given={"eval.ks", "quiet"})
    again = read_results(tmp_path / "run")
    assert again.users == 9
    assert "recall@2" in again.metrics["model"]
    commands.evaluate(tmp_path / "run", config=other, step=None)
    assert read_results(tmp_path / "run").users == 48


def test_a_limit_above_the_number_of_users_is_none(checkerboard: Path) -> None:
    config = config_of(checkerboard, data__split="random", method="most_popular")
    split = prepare_split(config, Console(quiet=True))
    results = [
        measure_finally(
            Measure(with_fields(config, {"eval.most_users": most}), split),
            Measure(config, split).most_popular(),
            step=None,
            show=Console(quiet=True).progress,
        ).to_json()
        for most in (None, 48)
    ]
    assert results[0] == results[1]
