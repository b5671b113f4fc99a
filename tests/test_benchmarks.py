"""The benchmarks' arithmetic, tables and synthetic graphs, and that jaxrec's side still runs."""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import (
    aged_ranking,
    by_time,
    compare,
    datasets,
    fold_in,
    init_from,
    kernels,
    prepare,
    ranking,
    report,
    rivals,
    scale,
    scaling,
    worker,
)
from benchmarks.edges import normalised_adjacency, read_edges, spectral_embeddings
from benchmarks.make_listens import write_listens
from benchmarks.measuring import TimedBatches, machine, resident_mb, seconds_from_due, seconds_of
from benchmarks.processes import MeasurementError, run_worker
from benchmarks.roofline import share_read, step_bytes
from benchmarks.subjects import jaxrec_
from benchmarks.synthetic_graph import interactions
from benchmarks.tables import digits, markdown_table, paired_ratios, show, summarise
from configs import default
from jaxrec import commands
from jaxrec.config import read_config
from jaxrec.gcn.graph import Adjacency, build_graph
from jaxrec.gcn.message_passing import KERNELS, segment_sum
from jaxrec.runs.results import read_results
from jaxrec.search.space import parse_space
from jaxrec.train import loop
from tests.checkerboard import config_of, write_checkerboard
from tests.kernels import ON_CPU
from tests.listening import config_by_time, listens, write
from tests.nursery import ROOT

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a worker is asked, on 60 users and 40 items in two groups."""
    data, work = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    random = np.random.default_rng(0)
    train, test = [], []
    for user in range(60):
        chosen = random.choice(20, 8, replace=False) + 20 * (user % 2)
        train.append(f"{user} {' '.join(map(str, chosen[:6]))}\n")
        test.append(f"{user} {' '.join(map(str, chosen[6:]))}\n")
    (data / "train.txt").write_text("".join(train))
    (data / "test.txt").write_text("".join(test))
    compare.prepare_files(work, read_edges(data), dim=4, users=0)
    sizes = {"batch": 32, "layers": 1, "dim": 4, "k": 5, "steps": 2, "repeats": 1, "users": 0}
    return {"data": str(data), "work": str(work), **sizes}


def test_summaries_and_ratios_of_rounds() -> None:
    assert summarise([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    # A round that one side lacks doesn't count; the others are paired by their number.
    assert paired_ratios({0: 4.0, 1: 9.0, 2: 5.0}, {1: 3.0, 0: 2.0}) == [2.0, 3.0]
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_rivals_are_tuned_measured_once_and_compared(tmp_path: Path) -> None:
    flags = ["--config=configs/default.py", "--config.tune.space=('lr log 0.001 0.1',)"]
    lines = rivals.commands(["gcn", "ease"], flags, tmp_path, trials=1, seeds=2)
    assert [line[0] for line in lines] == ["tune", "evaluate", "tune", "evaluate", "compare"]
    # Only the network has the space of the flags.
    assert [flags[1] in line for line in lines] == [True, False, False, False, False]

    methods = ["ease", "most_popular"]
    arguments = [f"--methods={','.join(methods)}", "--trials=1", f"--out={tmp_path}"]
    words = [sys.executable, "-m", "benchmarks.rivals", *flags, *arguments]
    result = subprocess.run(
        words, capture_output=True, encoding="utf-8", timeout=300, check=False, cwd=REPOSITORY
    )
    assert result.returncode == 0, result.stdout + result.stderr
    table = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert Path(table["reference"]).name == methods[0]
    assert {Path(row["run"]).name for row in table["comparisons"]} == set(methods[1:])
    chosen = json.loads((tmp_path / "ease" / "best_config.json").read_text(encoding="utf-8"))
    assert chosen["validation"]["space"] == list(rivals.SPACES["ease"])


def test_datasets_are_measured_once_and_stand_in_one_table(tmp_path: Path) -> None:
    gowalla = datasets.DATASETS["gowalla"]
    jobs = datasets.jobs(gowalla, Path("data"), tmp_path, ["ease", "most_popular"], seeds=2)
    assert [job.name for job in jobs] == [
        # There is time for one inverse alone, so EASE is not tuned.
        *("auto-0", "auto-1", "ease-default", "most_popular-default"),
    ]
    small = datasets.DATASETS["ml-100k"]
    names = [job.name for job in datasets.jobs(small, Path("data"), tmp_path, ["ease"], seeds=2)]
    assert names == [  # whose split is drawn by the seed, so that each is beside its own
        *("auto-0", "auto-1", "ease-default-0", "ease-tuned-0", "ease-default-1", "ease-tuned-1"),
    ]

    write_checkerboard(tmp_path / "listens.csv")
    flags = ("--config=configs/auto.py", f"--config.data.path={tmp_path / 'listens.csv'}")
    done = []
    for label, method in (("auto", "itemknn"), ("popular", "most_popular")):
        workdir = f"--workdir={tmp_path / label}"
        job = datasets.Job(label, label, (("train", *flags, f"--config.method={method}", workdir),))
        assert datasets.run(job, tmp_path)
        done.append(job)
    kept = (tmp_path / "auto.json").read_bytes()
    assert datasets.run(done[0], tmp_path) and (tmp_path / "auto.json").read_bytes() == kept
    _, _, first, second = datasets.table("toy", tmp_path, done).splitlines()
    figures = read_results(tmp_path / "popular").metrics["model"]["recall@20"]
    assert first.startswith("| auto |") and f"| {figures['mean']:.4f} [" in second
    p_values = second.split("|")[4:6]
    assert all(0 < float(each) < 1e-6 for each in p_values)
    done[1] = dataclasses.replace(done[1], split=1)  # of another test part
    assert datasets.table("toy", tmp_path, done).splitlines()[3].split("|")[4:6] == ["  ", "  "]
    other = dataclasses.replace(done[0], lines=(("train", "--config.seed=1"),))
    assert not datasets.run(other, tmp_path)  # what is there is not what it asks for


def test_by_time_stands_in_a_table_of_three_views_with_tests_beside_auto(tmp_path: Path) -> None:
    named = by_time.jobs(["--config.data.path=X"], tmp_path, ["own_plays", "ease"], [], "quick")
    assert [job.label for job in named] == ["auto", "own_plays", "own_plays, no ages", "ease"]
    assert "--config.history.half_life_days=1e9" in named[2].lines[0]
    path = write(tmp_path / "listens.csv", listens())
    for folder, method in (("auto", "most_popular"), ("own_plays", "own_plays")):
        config = config_by_time(path, method=method, eval__ks=(10,))
        commands.train(config, workdir=tmp_path / folder)
    done = [job for job in named if job.label in ("auto", "own_plays")]
    ndcg, recall = by_time.table("toy", tmp_path, done).split("\n\n")
    header, _, first, second = ndcg.splitlines()
    assert header == "| toy, ndcg@10 | all | discovery | again |"
    assert first.startswith("| auto |") and " p " not in first and second.count(" p ") == 3
    found = read_results(tmp_path / "own_plays").views["only"].metrics["model"]["recall@10"]["mean"]
    assert f"| {found:.4f} [" in recall.splitlines()[3]


def test_ranking_with_ages_is_timed_beside_the_same_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(user, song, time + 1_600_000_000) for user, song, time in listens()]
    path = write(tmp_path / "listens.csv", rows)
    path.write_text(path.read_text().replace("when", "timestamp", 1))
    assert aged_ranking.main([f"--data={path}", "--rounds=2"]) == 0
    said, header, _, network, rp3beta = capsys.readouterr().out.strip().splitlines()
    assert said.endswith("40 users, 24 items, lists of 10")
    assert header == "|  | no ages | ages | ratio |"
    assert network.startswith("| network of 64 numbers | ") and rp3beta.startswith("| RP3beta | ")


def test_ranking_by_a_blend_is_timed_beside_its_vectors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(
        write_checkerboard(tmp_path / "listens.csv"),
        method="blend",
        blend__models=("gcn", "itemknn"),
        epochs=1,
        model__dim=4,
        quiet=True,
    )
    commands.train(config, workdir=tmp_path / "run")
    assert ranking.main([f"--run={tmp_path / 'run'}", "--rounds=1"]) == 0
    said, header, _, vectors, whole = capsys.readouterr().out.strip().splitlines()
    assert said.endswith("lists of 20") and header == "|  | made of | seconds | ratio |"
    assert vectors.startswith("| the network's vectors | factors | ")
    assert whole.startswith("| the whole | blend factors item_weights | ")


@pytest.mark.parametrize("method", [name for name, space in rivals.SPACES.items() if space])
def test_the_rivals_spaces_can_be_searched(method: str) -> None:
    values = default.get_config()
    values.method, values.tune.space = method, rivals.SPACES[method]
    assert set(parse_space(read_config(values.to_dict())))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.012345, "0.0123"), (9.999, "10.0"), (138.2, "138"), (70839.0, "70,839")],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_extremes_are_shown_where_they_differ() -> None:
    assert show(summarise([1.0, 2.0, 4.0]), "s") == "2.00 s (1.00 to 4.00)"
    assert show(summarise([2.0]), "s") == "2.00 s"


def test_tables_are_markdown() -> None:
    assert markdown_table(["", "n"], [["a|b", "1"]]) == "|  | n |\n| --- | ---: |\n| a\\|b | 1 |\n"
    with pytest.raises(ValueError, match="1 cells; expected 2"):
        markdown_table(["", "n"], [["a"]])


def test_subjects_take_turns_forwards_and_backwards() -> None:
    assert list(compare.turns(3, 2)) == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]


def test_the_chosen_kernel_is_what_products_are_compared_with() -> None:
    names = [s.name for s in compare.subjects("product", ["segment_sum", "csr"], "csr")]
    assert names[:2] == ["jaxrec csr", "jaxrec segment_sum"]


def test_batches_are_cut_and_timed() -> None:
    batches = TimedBatches(range(10), 4)
    assert list(batches) == [0, 1, 2, 3]
    assert len(batches.requested) == 5
    batches.requested, batches.first_ready = [0.0, 10.0, 20.0, 22.0, 24.0], 3.0
    assert batches.seconds_per_step(2) == 2.0
    assert batches.epoch_start() == 3.0
    with pytest.raises(ValueError, match="4 steps were taken; expected more than 4"):
        batches.seconds_per_step(4)


def test_warm_up_calls_are_not_counted() -> None:
    calls: list[int] = []
    assert len(seconds_of(lambda: calls.append(1), 3, warmup=2)) == 3
    assert len(calls) == 5


def test_the_machine_and_the_memory_are_known() -> None:
    assert machine()["cores"] >= 1
    assert 10 < resident_mb(peak=False) <= resident_mb(peak=True) * 1.01


def test_edges_are_read_sorted_and_distinct(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1 5 2 5\n0 3\n2\n")
    (tmp_path / "test.txt").write_text("3 6\n")
    edges = read_edges(tmp_path)
    assert (edges.user.tolist(), edges.item.tolist()) == ([0, 1, 1], [3, 2, 5])
    assert (edges.num_users, edges.num_items) == (4, 7)


def test_the_adjacency_is_the_dense_one_normalised() -> None:
    user, item = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    dense = np.zeros((6, 6))
    dense[user, 3 + item] = dense[3 + item, user] = 1
    degree = np.maximum(dense.sum(axis=1), 1)
    offsets, columns, values = normalised_adjacency(user, item, 3, 3)
    found = np.zeros((6, 6))
    found[np.repeat(np.arange(6), np.diff(offsets)), columns] = values
    np.testing.assert_allclose(found, dense / np.sqrt(np.outer(degree, degree)), rtol=1e-6)


def test_spectral_embeddings_find_the_groups_and_are_the_same_every_time(request_: dict) -> None:
    edges = read_edges(Path(request_["data"]))
    user, item = spectral_embeddings(edges, 4)
    assert user.dtype == item.dtype == np.float32
    own = (np.arange(60)[:, None] % 2) == (np.arange(40) // 20)
    scores = user @ item.T
    assert scores[own].mean() > 10 * abs(scores[~own].mean())
    np.testing.assert_array_equal(user, spectral_embeddings(edges, 4)[0])


def test_the_projection_in_the_docs_is_the_model_s() -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    lines = [line for line in scale.tables(scale.Settings()).splitlines() if line]
    assert [line for line in lines if line not in text.splitlines()] == []


def test_the_projection_follows_the_design_s_formula() -> None:
    data, settings = scale.Data("small", 1000, 200, 50_000), scale.Settings(dim=16, layers=2)
    assert scale.received_bytes(data, 1, settings) == 0
    tables, batch = 2 * 2 * 1200, 3 * 50 * 3
    assert scale.received_bytes(data, 4, settings) == 3 / 4 * (tables + batch) * 16 * 4
    one, eight = (scale.device_bytes(data, count, settings) for count in (1, 8))
    assert eight["dealt"] == one["dealt"] / 8
    assert eight["order"] == one["order"] == 200_000  # on every device
    fast = scale.Hardware("fast", 8, 1e9, 1e12, 1e12)
    slow = dataclasses.replace(fast, wire_speed=1e11)
    found = [scale.projected(data, each, settings)["on the wire"] for each in (fast, slow)]
    assert found[1] == pytest.approx(10 * found[0])
    assert scale.breaks_first(data, fast, settings) == "nothing that the model knows of"
    assert "int32" in scale.breaks_first(dataclasses.replace(data, edges=2**31), fast, settings)


def test_synthetic_graphs_have_the_size_and_skew_asked_for() -> None:
    part = interactions(20_000, seed=1)
    assert len(part) == 20_000
    assert (part.num_users, part.num_items) == (740, 1000)
    assert np.all(np.diff(part.keys()) > 0)
    degrees = np.sort(np.bincount(part.item, minlength=1000))
    assert degrees[-10:].mean() > 5 * np.median(degrees)
    # High degrees lie anywhere among the numbers.
    assert abs(np.corrcoef(np.arange(1000), np.bincount(part.item, minlength=1000))[0, 1]) < 0.2
    np.testing.assert_array_equal(part.keys(), interactions(20_000, seed=1).keys())
    assert not np.array_equal(part.keys(), interactions(20_000, seed=2).keys())
    with pytest.raises(ValueError, match="at least 1000"):
        interactions(10, seed=0)


def entry(subject: str, *rounds: dict, errors: tuple[str, ...] = ()) -> dict:
    return {
        "subject": subject,
        "versions": {"numpy": "2.0"},
        "rounds": dict(enumerate(rounds)),
        "errors": list(errors),
    }


def test_the_comparison_gives_medians_ratios_and_failures() -> None:
    text = report.comparison(
        {
            "date": "2026-01-01",
            "machine": machine(),
            "data": {"users": 2, "items": 3, "train": 4, "test": 5},
            "settings": {"batch": 2048, "layers": 3, "dim": 64, "rounds": 2, "steps": 9, "k": 20},
            "sections": {
                "train": [
                    entry("ours", *({"step_s": s, "epoch_s": 9 * s} for s in (0.1, 0.2))),
                    entry("other", *({"step_s": s, "epoch_s": 9 * s} for s in (0.5, 1.2))),
                    entry("absent", errors=("No module",)),
                ]
            },
        }
    )
    assert "| ours | 150 ms (100 to 200) | 1 |" in text
    assert "| other | 850 ms (500 to 1,200) | 5.50 (5.00 to 6.00) |" in text
    assert "| absent | failed: No module |" in text
    assert text.endswith("## Versions\n\n- numpy 2.0: ours; other; absent\n")


def test_the_comparison_says_on_which_device_and_how_much_of_its_memory() -> None:
    times = {"step_s": 1.0, "epoch_s": 9.0, "peak_mb": 500.0}
    on_gpu = [{**times, "device": "gpu (X1)", "device_peak_mb": mb} for mb in (60.0, 80.0, 70.0)]
    sections = {"train": [entry("ours", *on_gpu), entry("other", {**times, "device": "cpu"})]}
    text = report.comparison(
        {
            "date": "2026-01-01",
            "machine": machine(),
            "data": {"users": 2, "items": 3, "train": 4, "test": 5},
            "settings": {"batch": 2048, "layers": 3, "dim": 64, "rounds": 3, "steps": 9, "k": 20},
            "sections": sections,
        }
    )
    assert "| 500 MB; 70 MB of the device's |" in text
    assert text.endswith("- numpy 2.0 on gpu (X1): ours\n- numpy 2.0 on cpu: other\n")


def test_scaling_measures_the_common_point_once_and_reports_every_axis(tmp_path: Path) -> None:
    plan = scaling.points(1.0, list(scaling.AXES))
    assert len(plan) == len({tuple(point.items()) for point in plan}) == 5 + 4 + 5 - 2
    results = [
        {
            **point,
            "step_s": point["edges"] * 1e-7 * (1 + (point["edges"] == 16_000_000)),
            "roofline_s": 0.0125,
            "nodes": 10,
            "build_peak_mb": 100.0,
            "train_peak_mb": None,
            "peak_mb": 100.0,
        }
        for point in plan
    ]
    results[0] |= {"device": "gpu (X1)", "train_peak_mb": 200.0, "device_peak_mb": 50.0}
    results[-1] = {**plan[-1], "error": "out of memory"}
    made = {
        "date": "2026-01-01",
        "machine": machine(),
        "layers": 3,
        "dtype": "float32",
        "rounds": 1,
        "versions": {"jax": "1.0"},
        "results": results,
    }
    text = scaling.tables(made)
    assert "At 16,000,000 edges the time per edge is 2.00 times that at 1,000,000." in text
    assert "| 100 ms | 12.5 ms |" in text
    assert "Failed: 1,000,000 edges, 64 dimensions, batch 65,536: out of memory" in text
    assert "| 200 MB; 50 MB of the device's |" in text
    assert text.endswith("Versions: jax 1.0 on gpu (X1).\n")
    scaling.draw(made, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_jaxrec_trains_for_the_benchmark(request_: dict) -> None:
    """An epoch of 12 steps is too short to be cut: it is measured as a whole."""
    figures = jaxrec_.train(request_)
    assert 0 < figures["step_s"] * 12 == pytest.approx(figures["epoch_s"])


def test_every_kernel_gives_the_same_product(request_: dict) -> None:
    names = jaxrec_.kernels(request_)["names"]
    sums = [jaxrec_.product({**request_, "kernel": name})["checksum"] for name in names]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-4)


def test_kernels_are_timed_checked_and_tabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--edges=1000", "--rounds=1", "--steps=2", "--dim=4", "--layers=1"]
    assert kernels.main([f"--out={tmp_path}", "--only=segment_sum,csr", *arguments]) == 0
    rows = json.loads((tmp_path / "kernels.json").read_text())["rows"]
    assert [row["kernel"] for row in rows] == ["segment_sum", "csr"]
    for row in rows:
        assert row["sums_s"] > 0 and row["step_s"] > 0
        assert (row["sums_same_bits"] and row["step_same_bits"]) or not ON_CPU
        assert 0 < row["error"] < 1e-6
    assert (tmp_path / "kernels.md").read_text() in capsys.readouterr().out


def test_a_kernel_that_sums_wrongly_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(adjacency: Adjacency, *arguments: Any, **named: Any) -> jax.Array:
        halved = adjacency.replace(weights=adjacency.weights / 2)
        return segment_sum(halved, *arguments, **named)

    monkeypatch.setitem(KERNELS, "csr", wrong)
    arguments = ["--edges=1000", "--rounds=1", "--dim=4", "--layers=1", "--only=csr"]
    assert kernels.main([f"--out={tmp_path}", *arguments]) == 1
    assert "failed: sums are off by" in (tmp_path / "kernels.md").read_text()


def test_jaxrec_evaluates_given_embeddings(request_: dict) -> None:
    """Users of a group share 20 items, of which 6 are masked: 5 of 14 hit 2 by chance in 5/14."""
    figures = jaxrec_.evaluate(request_)
    assert figures["users"] == 60
    assert 0.2 < figures["recall"] < 0.6
    assert jaxrec_.evaluate({**request_, "users": 10})["users"] == 10


def test_jaxrec_scales_for_the_benchmark(request_: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STEPS_PER_DISPATCH", loop.STEPS_PER_DISPATCH)
    figures = jaxrec_.scale({**request_, "edges": 1000, "batch": 100, "steps_per_dispatch": 2})
    assert figures["nodes"] == 37 + 50
    assert figures["step_s"] * 10 == pytest.approx(figures["epoch_s"])
    moved = figures["roofline_s"] * figures["copy_bytes_per_s"]
    assert moved == pytest.approx(figures["step_bytes"])
    assert figures["epoch_start_s"] > 0  # ten steps are cut after the fourth dispatch


def test_a_step_moves_what_its_sums_and_the_optimizer_move() -> None:
    shape = {"nodes": 10, "edges": 100, "dim": 4}
    table = 10 * 4 * 4
    assert step_bytes(**shape, layers=0, kernel="csr") == 8 * table
    sums = 2 * 100 * (4 * 4 + 8) + 2 * table  # an embedding, a sender's number, a weight an edge
    assert step_bytes(**shape, layers=3, kernel="csr") == 6 * sums + 8 * table
    ours = {**shape, "layers": 3, "kernel": "prefetch"}
    assert step_bytes(**ours, read=1) == 6 * sums + 8 * table
    nothing_read = 4 * sums + 2 * table + (2 * 100 * 4 + 2 * table) + 8 * table
    assert step_bytes(**ours, read=0) == nothing_read
    saved = step_bytes(**ours) - step_bytes(**ours, dtype="bfloat16")
    assert saved == 6 * (2 * 100 * 4 * 2 - 1.5 * table)


def test_a_batch_reads_all_edges_of_a_small_graph_and_few_of_a_large_one() -> None:
    item = np.arange(3000)  # three songs of their own for each of 1,000 users
    graph = build_graph(item // 3, item, np.ones(3000), num_users=1000, num_items=3000)
    assert share_read(graph, 3000) == 1
    # Ten edges of as many users: their 3 edges each, and those of 10 songs listened to and 10 not.
    assert share_read(graph, 10) == pytest.approx((30 + 20) / 6000, abs=2e-3)


def test_a_worker_writes_figures_memory_and_versions(
    request_: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["worker", "--request"])
    asked = {**request_, "module": "jaxrec_", "section": "kernels"}
    (tmp_path / "request").write_text(json.dumps(asked))
    worker.main(str(tmp_path / "request"), str(tmp_path / "result"))
    result = json.loads((tmp_path / "result").read_text())
    assert result["figures"]["auto"] in result["figures"]["names"]
    assert result["figures"]["peak_mb"] > 10
    assert {"python", "jax"} <= result["versions"].keys()


def test_a_failed_worker_says_why(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"No module named 'benchmarks.subjects.nobody'"):
        run_worker(sys.executable, {"module": "nobody", "section": "train"}, tmp_path)


def test_the_script_wants_a_benchmark() -> None:
    done = subprocess.run(
        [REPOSITORY / "benchmarks" / "run.sh", "everything"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "jaxrec: the first word is 'everything'; expected compare, scaling, scale, kernels, "
        "variants, rivals, datasets, by_time, aged_ranking, ranking, fold_in, init_from, load or "
        "prepare\n"
    )


def write_two_tastes(folder: Path) -> None:
    """Two halves of the users with songs of their own, as a given train and test part."""
    random = np.random.default_rng(0)
    for name, count in (("train", 6), ("test", 2)):
        rows = [[user, *(user % 2 * 20 + random.choice(20, count, False))] for user in range(40)]
        lines = (" ".join(map(str, row)) for row in rows)
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_fold_in_measures_those_left_out_beside_themselves_trained_with(tmp_path: Path) -> None:
    write_two_tastes(tmp_path)
    out = tmp_path / "fold_in.md"
    arguments = [f"--data={tmp_path}", f"--out={out}", "--epochs=2", "--share=0.25"]
    assert fold_in.main([f"--config={REPOSITORY / 'configs' / 'gowalla.py'}", *arguments]) == 0
    table = out.read_text()
    assert "10 of 40 listeners left out" in table
    for way in ("trained with", "own vector left out", "folded in", "joined", "solved for"):
        assert table.count(way) >= 2  # of the network alone, and with walks


def test_generated_listens_are_the_same_each_time_and_some_are_heard_far_more(
    tmp_path: Path,
) -> None:
    for name in ("one", "other"):
        write_listens(tmp_path / name, rows=5_000, users=300, items=100, seed=4)
    one, other = (pq.read_table(tmp_path / name) for name in ("one", "other"))
    assert one.equals(other)
    plays = np.sort(np.unique(one["item"].to_numpy(), return_counts=True)[1])
    assert plays.sum() == 5_000
    assert len(plays) == 100
    assert plays[-1] > 10 * plays[0]


def test_what_preparing_took_is_told_in_tables(tmp_path: Path) -> None:
    given = argparse.Namespace(rows=10, memory_mb=64)
    cost = {"wall": 60.4, "processor": 90.0, "peak_gb": 1.94}
    found = {"prepared": cost, "used": cost | {"seconds": {"the split": 1.25}}}
    text = prepare.report(given, found | {"the same when killed": True})
    assert "| prepared | 60 | 90 | 1.9 |" in text
    assert "| the split | 1.2 |" in text
    assert "the same SHA-256 when killed: True" in text


@pytest.mark.parametrize("what", ["listeners", "listens"])
def test_init_from_measures_both_starts_beside_each_other(tmp_path: Path, what: str) -> None:
    write_two_tastes(tmp_path)
    out = tmp_path / "init_from.md"
    arguments = [f"--data={tmp_path}", f"--out={out}", "--epochs=2", f"--without={what}"]
    assert init_from.main([f"--config={REPOSITORY / 'configs' / 'gowalla.py'}", *arguments]) == 0
    text = out.read_text()
    assert f"without a share of 0.2 of the {what}" in text
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows[2:]] == ["0", "1", "2"]
    assert rows[2][1] != rows[2][2]


def test_requests_that_take_too_long_are_seen_to_fall_behind() -> None:
    asked: list[int] = []
    quick = seconds_from_due(asked.append, count=4, rate=1000)
    assert asked == [0, 1, 2, 3] and min(quick) >= 0
    slow = seconds_from_due(lambda number: time.sleep(0.01), count=4, rate=1000)
    assert slow == sorted(slow) and slow[-1] > 3 * 0.009
