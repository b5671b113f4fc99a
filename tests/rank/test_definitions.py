"""The Yambda benchmark's figures: a table by hand, and all of it anew from the rows of a file."""

from math import log2
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens, aggregate
from jaxrec.errors import UserError
from jaxrec.rank.definitions import USUAL, YAMBDA, num_items, num_listens, yambda_metrics
from jaxrec.runs.results import read_results
from tests.configurations import config_with


def test_listens_are_counted_and_ndcg_is_a_ratio_of_means():
    # The first finds both songs, one of them heard 3 times; the second one song of 1 at rank 2;
    # the third none of 2.
    hits = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    found = yambda_metrics(hits, np.array([4, 1, 2]), [3, 1])
    assert found["recall@3"].tolist() == [2 / 4, 1, 0]
    assert found["recall@1"].tolist() == [1 / 4, 0, 0]
    second, third = 1 / log2(3), 1 / 2
    ideal = [1 + second + third, 1, 1 + second]
    dcg = [1 + third, second, 0]
    assert found["ndcg@3"].mean() == pytest.approx(sum(dcg) / sum(ideal), abs=1e-15)
    assert found["ndcg@1"].mean() == pytest.approx(1 / 3, abs=1e-15)
    usual = USUAL.per_user(hits, np.array([2, 1, 2]), [3])
    assert usual["ndcg@3"].mean() != pytest.approx(found["ndcg@3"].mean(), abs=0.05)
    assert usual["hit_rate@3"].tolist() == found["hit_rate@3"].tolist()


def test_an_item_heard_twice_counts_twice():
    ids = IdMap(np.arange(3))
    rows = np.array([[0, 1, 5], [0, 1, 9], [0, 2, 6], [2, 0, 1]])
    found = aggregate(
        Listens(rows[:, 0], rows[:, 1], np.array([7.0, 1, 1, 1]), rows[:, 2], ids, ids)
    )
    assert num_listens(found).tolist() == [3, 0, 1]
    assert num_items(found).tolist() == [2, 0, 1]


MOMENT, DAY, GAP = 25_913_600, 86_400, 1_800


def random_rows() -> list[tuple[int, int, int, int]]:
    """User, song, time and the share played, most of them near test; songs unequally popular."""
    random = np.random.default_rng(3)
    count, users, songs = 1_500, 30, 40
    user = random.integers(0, users, count)
    user[: count // 8] %= 5
    late = MOMENT - 2 * DAY, MOMENT + DAY
    time = np.where(
        random.random(count) < 0.5, random.integers(*late, count), random.integers(0, late[0])
    )
    song = np.minimum(random.geometric(0.1, count), songs) + 10 * (time > MOMENT - 9 * DAY)
    ratio = random.integers(0, 101, count)
    ratio[::17] = 50
    return list(zip(user.tolist(), song.tolist(), time.tolist(), ratio.tolist(), strict=True))


def independently(rows: list[tuple[int, int, int, int]], ks: list[int]) -> dict[str, float]:
    """The most-popular list's figures, from the rows alone: as the benchmark's code has them."""
    train = [(u, i) for u, i, t, ratio in rows if ratio >= 50 and t < MOMENT - GAP]
    test = [(u, i) for u, i, t, ratio in rows if ratio >= 50 and t >= MOMENT]
    known = {u for u, _ in train}
    listeners: dict[int, set[int]] = {}
    for u, i in train:
        listeners.setdefault(i, set()).add(u)
    ranked = sorted(listeners, key=lambda i: (-len(listeners[i]), i))
    targets: dict[int, list[int]] = {}
    for u, i in test:
        if u in known:
            targets.setdefault(u, []).append(i)
    found = {}
    for k in ks:
        top = ranked[:k]
        recalls, dcgs, ideals = [], [], []
        for listens in targets.values():
            hits = [float(i in listens) for i in top]
            recalls.append(sum(hits) / len(listens))
            dcgs.append(sum(hit / log2(2 + rank) for rank, hit in enumerate(hits)))
            ideals.append(sum(1 / log2(2 + rank) for rank in range(min(k, len(listens)))))
        found[f"recall@{k}"] = float(np.mean(recalls))
        found[f"ndcg@{k}"] = float(np.mean(dcgs) / np.mean(ideals))
    return found


def write(path: Path) -> list[tuple[int, int, int, int]]:
    rows = random_rows()
    names = ("uid", "item_id", "timestamp", "played_ratio_pct")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table(columns), path / "listens.parquet")
    return rows


def test_a_run_has_the_figures_that_follow_from_the_rows(tmp_path: Path):
    rows = write(tmp_path)
    config = config_with(
        method="most_popular",
        data__source="yambda-50m-listens",
        data__path=str(tmp_path),
        data__split="yambda",
        data__moment=str(MOMENT),
        data__validation_fraction=0.0,
        eval__seen="include",
        eval__ks=(1, 10, 100),
        eval__metric="ndcg@10",
    )
    commands.train(config, workdir=tmp_path / "run")
    results = read_results(tmp_path / "run")
    for name, value in independently(rows, [1, 10, 100]).items():
        assert results.metrics["model"][name]["mean"] == pytest.approx(value, rel=1e-12), name
    assert results.protocol["masked"] == "nothing"
    assert results.protocol["metrics"]["ndcg"] == YAMBDA.words["ndcg"]


def test_what_that_benchmark_masks_is_nothing(tmp_path: Path):
    write(tmp_path)
    config = config_with(
        data__source="yambda-50m-listens", data__path=str(tmp_path), data__split="yambda"
    )
    with pytest.raises(UserError, match=r"expected config\.eval\.seen=include"):
        commands.train(config, workdir=tmp_path / "run")
