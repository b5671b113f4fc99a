"""Runs side by side: the test is the one it says it is, and runs measured otherwise are refused."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from jaxrec import commands
from jaxrec.commands.compare import compare
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.runs.results import Results, read_results, write_results

MakeConfig = Callable[..., RunConfig]
PROTOCOL = {
    "part": "test",
    "seen": "exclude",
    "data_sha256": {"train": "aaaa", "validation": None, "test": "bbbb"},
    "split": {"kind": "random", "seed": 0, "validation": None},
    "users": 40,
    "candidates": 99,
    "masked": "each user's own interactions seen before (7 in all)",
    "ties": "the item with the lower index first",
    "ks": [10],
}


def write_run(folder: Path, figures: dict[str, np.ndarray], **protocol: Any) -> Path:
    folder.mkdir(parents=True)
    users = next(iter(figures.values()))
    metrics = {
        name: {"mean": float(each.mean()), "low": 0.0, "high": 1.0}
        for name, each in figures.items()
    }
    results = Results(
        part="test",
        step=1,
        protocol=PROTOCOL | protocol,
        metrics={"model": metrics},
        beyond_accuracy={"model": {"coverage@10": 0.5}},
        per_user=pa.table({"user": [f"u{index}" for index in range(len(users))], **figures}),
    )
    write_results(folder, results)
    return folder


def random_figures(seed: int, better: float = 0.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.random(40) + better for name in ("recall@10", "ndcg@10")}


def comparisons(folders: list[Path], output: Path) -> list[dict[str, Any]]:
    compare(folders, output=output)
    rows: list[dict[str, Any]] = json.loads(output.read_text())["comparisons"]
    return rows


def test_each_run_is_tested_against_the_first_and_corrected_for_all(tmp_path: Path) -> None:
    figures = [random_figures(0), random_figures(1, better=0.3), random_figures(2)]
    folders = [write_run(tmp_path / f"run-{n}", each) for n, each in enumerate(figures)]
    rows = comparisons(folders, tmp_path / "table.json")
    assert [(row["run"], row["metric"]) for row in rows] == [
        (str(folders[run]), metric) for run in (1, 2) for metric in ("recall@10", "ndcg@10")
    ]
    for row, run in zip(rows, (1, 1, 2, 2), strict=True):
        ours, reference = figures[run][row["metric"]], figures[0][row["metric"]]
        assert row["mean"] == ours.mean() and row["reference_mean"] == reference.mean()
        assert row["difference"] == pytest.approx(ours.mean() - reference.mean())
        assert row["low"] < row["difference"] < row["high"]
        assert row["p"] == pytest.approx(stats.ttest_rel(ours, reference).pvalue)
    order = sorted(range(4), key=lambda index: rows[index]["p"])
    corrected = np.maximum.accumulate(
        [rows[i]["p"] * f for i, f in zip(order, (4, 3, 2, 1), strict=True)]
    )
    np.testing.assert_allclose([rows[i]["p_holm"] for i in order], np.minimum(corrected, 1))
    assert rows[0]["p_holm"] < 0.01 < 0.05 < rows[2]["p_holm"]


def test_a_run_does_not_differ_from_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", random_figures(0))
    for row in comparisons([run, run, run], tmp_path / "table.json"):
        assert row["difference"] == row["low"] == row["high"] == 0
        assert row["p"] == row["p_holm"] == 1
    shown = capsys.readouterr().out
    assert "Holm-corrected for all 4" in shown
    assert len(re.findall(r"recall@10 +0\.0000 +0\.0000 +0\.0000 +1\.0000", shown)) == 2


@pytest.mark.parametrize(
    ("change", "field", "values"),
    [
        ({"part": "validation"}, "part", ("test", "validation")),
        ({"candidates": 98}, "candidates", ("99", "98")),
        ({"ks": [20]}, "ks", ("[10]", "[20]")),
        ({"ties": "at random"}, "ties", ("the item wit…", "at random")),
        (
            {"data_sha256": {"train": "aaaa", "validation": "cccc", "test": "bbbb"}},
            "data_sha256.validation",
            ("None", "cccc"),
        ),
        ({"split": {"kind": "time", "validation": None}}, "split.kind", ("random", "time")),
        ({"extra": 1}, "extra", ("None", "1")),
    ],
)
def test_runs_measured_otherwise_are_refused(
    tmp_path: Path, change: dict[str, Any], field: str, values: tuple[str, str]
) -> None:
    first = write_run(tmp_path / "first", random_figures(0))
    second = write_run(tmp_path / "second", random_figures(1), **change)
    message = f"{first} has {field} = {values[0]}, {second} has {values[1]}; expected runs measured"
    with pytest.raises(UserError, match=re.escape(message)):
        compare([first, first, second], output=tmp_path / "table.json")
    assert not (tmp_path / "table.json").exists()


def test_another_seed_that_split_the_same_is_no_difference(tmp_path: Path) -> None:
    split = PROTOCOL["split"] | {"seed": 1}  # type: ignore[operator]
    first = write_run(tmp_path / "first", random_figures(0))
    second = write_run(tmp_path / "second", random_figures(1), split=split)
    compare([first, second], output=None)


def test_a_csv_has_a_row_per_comparison(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), random_figures(seed)) for seed in (0, 1)]
    compare(runs, output=tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["metric"] for row in rows] == ["recall@10", "ndcg@10"]
    assert float(rows[0]["p_holm"]) >= float(rows[0]["p"]) > 0


def test_final_figures_are_taken_where_there_are_any(tmp_path: Path) -> None:
    plain = write_run(tmp_path / "plain", random_figures(0))
    write_run(tmp_path / "study" / "final", random_figures(0))
    (row, _) = comparisons([plain, tmp_path / "study"], tmp_path / "table.json")
    assert row["difference"] == 0


def test_trained_runs_can_be_compared_and_another_split_can_not(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    for name, changes in {
        "popular": {"method": "most_popular"},
        "itemknn": {"method": "itemknn"},
        "other": {"method": "itemknn", "seed": 1},
    }.items():
        commands.train(checkerboard_config(data__split="random", **changes), tmp_path / name)
    rows = comparisons([tmp_path / "popular", tmp_path / "itemknn"], tmp_path / "table.json")
    means = read_results(tmp_path / "itemknn").metrics["model"]
    assert [row["mean"] for row in rows] == [means[row["metric"]]["mean"] for row in rows]
    assert all(row["difference"] > 0 and row["p_holm"] < 1e-3 for row in rows)
    with pytest.raises(UserError, match=r"has data_sha256\.test = "):
        compare([tmp_path / "popular", tmp_path / "other"], output=None)


@pytest.mark.parametrize(
    ("names", "output", "message"),
    [
        ([], None, "--runs=: 0 run(s); expected at least two folders"),
        (["run"], None, "1 run(s); expected at least two folders"),
        (["run", "nowhere"], None, "nowhere: no results there (no results.json)"),
        (["run", "run"], "table.txt", "expected a name ending in .json or .csv"),
        (["run", "run"], "no/table.csv", "No such file or directory; expected a file to write"),
    ],
)
def test_a_mistake_is_named(
    tmp_path: Path, names: list[str], output: str | None, message: str
) -> None:
    write_run(tmp_path / "run", random_figures(0))
    with pytest.raises(UserError, match=re.escape(message)):
        compare(
            [tmp_path / name for name in names],
            output=None if output is None else tmp_path / output,
        )


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", random_figures(0))
    other = write_run(tmp_path / "other", random_figures(1))
    table = (other / "per_user.parquet").read_bytes()
    (run / "per_user.parquet").write_bytes(table)
    with pytest.raises(UserError, match=r"per_user\.parquet: not of the measurement"):
        read_results(run)
    (run / "per_user.parquet").write_bytes(table[:-9])
    with pytest.raises(UserError, match=r"per_user\.parquet: missing or unreadable"):
        read_results(run)
    (run / "per_user.parquet").unlink()
    with pytest.raises(UserError, match=r"per_user\.parquet: missing or unreadable"):
        read_results(run)
    for damage in ("{", "[]", '{"metrics": {"model": {"recall@10": {}}}}', '{"metrics": 3}'):
        (run / "results.json").write_text(damage)
        with pytest.raises(UserError, match=r"results\.json: unreadable"):
            read_results(run)
