"""Extremes of size and shape: a right result or a clear refusal, through the real commands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.errors import UserError
from jaxrec.gcn import edges as edges_module
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import build_graph
from jaxrec.gcn.message_passing import Sums, prepared
from jaxrec.gcn.negatives import sample_negatives
from jaxrec.gcn.propagation import propagate
from jaxrec.gcn.training_graph import TrainingGraph
from tests.configurations import config_with
from tests.graphs import popularity_mass
from tests.kernels import KERNELS
from tests.recommending import recommend as recommend_by_flags

Pairs = Sequence[tuple[object, object]]


def write(path: Path, pairs: Pairs) -> Path:
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    return path


def train(folder: Path, pairs: Pairs, **changes: Any) -> Path:
    """A run of two epochs on these listens, its folder."""
    config = config_with(
        **{
            "data__source": "listens",
            "data__path": str(write(folder / "listens.csv", pairs)),
            "data__split": "none",
            "data__validation_fraction": 0.0,
            "model__dim": 2,
            "batch_size": 16,
            "epochs": 2,
        }
        | changes
    )
    commands.train(config, folder / "run")
    return folder / "run"


def recommend(run: Path, path: Path, **changes: Any) -> list[dict[str, Any]]:
    arguments: dict[str, Any] = {
        "k": 1000,
        "output": path,
        "users": None,
        "users_file": None,
        "seen": "exclude",
        "step": None,
    }
    recommend_by_flags(run, **(arguments | changes))
    return pq.read_table(path).to_pylist() if path.suffix == ".parquet" else []


def grid(users: int, items: int) -> list[tuple[int, int]]:
    return [(user, item) for user in range(users) for item in range(items)]


@pytest.mark.parametrize(
    ("pairs", "changes", "message"),
    [
        (grid(1, 1), {}, "the history has one listener alone"),
        (grid(1, 9), {}, "the history has one listener alone"),
        (grid(9, 1), {}, "each of the 9 users has listened to all 1 songs"),
        (grid(5, 4), {}, "each of the 5 users has listened to all 4 songs"),
        (grid(1, 9), {"data__split": "random"}, "the history has one listener alone"),
        (grid(9, 1), {"data__split": "random"}, "the test part is empty; expected at least one"),
        ([(n, n) for n in range(9)], {"data__core": 2}, "no interaction is left of 9"),
        (
            [(n, n) for n in range(9)],
            {"data__split": "random", "data__test_fraction": 0.9},
            "the test part is empty",
        ),
        (grid(3, 3)[:-1], {"data__min_plays": 1e300}, "no interaction is left of 8"),
    ],
)
def test_what_can_not_be_learnt_from_is_refused_and_nothing_is_written(
    tmp_path: Path, pairs: Pairs, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        train(tmp_path, pairs, **changes)
    assert "expected" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["listens.csv"]


def test_one_dimension_a_batch_over_all_edges_and_k_over_all_songs(tmp_path: Path) -> None:
    """User 1 lacks one song, user 0 none: the list can only be that song, at any size of it."""
    run = train(
        tmp_path,
        grid(2, 6)[:-1],
        model__dim=1,
        batch_size=1000,
        eval__ks=(1, 1000),
        eval__metric="recall@1",
        loss__sampler="popularity",
    )
    rows = recommend(run, tmp_path / "lists.parquet")
    assert [(row["user"], row["rank"], row["item"]) for row in rows] == [(1, 1, 5)]
    metrics = json.loads((run / "results.json").read_text())["metrics"]["model"]
    assert metrics["recall@1000"]["mean"] == 1
    assert 0 < metrics["precision@1000"]["mean"] <= 6 / 1000
    every = recommend(run, tmp_path / "all.parquet", seen="include")
    assert [row["rank"] for row in every] == [1, 2, 3, 4, 5, 6] * 2
    for user in (0, 1):
        scores = [row["score"] for row in every if row["user"] == user]
        assert scores == sorted(scores, reverse=True) and np.isfinite(scores).all()


def test_all_users_alike_and_a_song_nobody_has(tmp_path: Path) -> None:
    """Alike users get what alike users know; a song that train doesn't know is never listed."""
    test = write(tmp_path / "test.csv", [(user, 7) for user in range(4)] + [(0, "nobody's")])
    pairs = [(user, item) for user in range(12) for item in range(8) if user >= 4 or item != 7]
    run = train(
        tmp_path, pairs, data__split="given", data__test_path=str(test), epochs=3, model__layers=0
    )
    protocol = json.loads((run / "results.json").read_text())["protocol"]
    assert protocol["split"]["cold"]["test"]["cold_items"] == 1
    rows = recommend(run, tmp_path / "a.parquet", seen="include")
    assert {row["item"] for row in rows} == {str(item) for item in range(8)}
    with pytest.raises(UserError, match="this item has no training listens"):
        commands.similar(run, item="nobody's", k=3, step=None)


ODD_IDS = [
    "שלום",
    "a\u2028b",
    "[/b][red]",
    "\x1b[31m",
    "line\nend",
    'quo"te, comma',
    "007",
    " ",
    "7",
]


def test_odd_ids_and_names_come_through_a_whole_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [value for value in ODD_IDS if value.strip()]
    quoted = ['"' + value.replace('"', '""') + '"' for value in ids]
    pairs = [(user, item) for user in quoted for item in quoted if user != item]
    path = write(tmp_path / "names.csv", [(value, value) for value in quoted])
    run = train(
        tmp_path,
        pairs,
        quiet=False,
        epochs=1,
        data__names_path=str(path),
        data__names_columns=("user", "item"),
    )
    rows = recommend(run, tmp_path / "lists.parquet")
    assert {(row["user"], row["item"], row["name"]) for row in rows} == {(i, i, i) for i in ids}
    recommend(run, tmp_path / "lists.csv")
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    text = pyarrow.csv.ConvertOptions(column_types={"user": "string", "item": "string"})
    table = pyarrow.csv.read_csv(tmp_path / "lists.csv", None, options, text)
    assert table["user"].to_pylist() == [row["user"] for row in rows]
    assert table["item"].to_pylist() == [row["item"] for row in rows]
    commands.similar(run, item="[/b][red]", k=9, step=None)
    printed = capsys.readouterr().out
    assert "[/b][red]" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("kernel", KERNELS)
def test_isolated_nodes_keep_their_share_of_their_own_embedding(kernel: str) -> None:
    nothing = np.zeros(0, np.int32)
    graph = prepared(build_graph(nothing, nothing, nothing, num_users=3, num_items=2), kernel)
    first = Embeddings(jnp.arange(6.0).reshape(3, 2), jnp.arange(4.0).reshape(2, 2))
    final = propagate(graph, first, 3, Sums(kernel))
    np.testing.assert_allclose(final.user, first.user / 4)
    np.testing.assert_allclose(final.item, first.item / 4)


def test_a_song_of_ten_million_listeners() -> None:
    listeners = 10_000_000
    graph = build_graph(
        np.arange(listeners, dtype=np.int32),
        np.zeros(listeners, np.int8),
        np.ones(listeners, np.float32),
        num_users=listeners,
        num_items=2,
    )
    assert graph.to_items.offsets.tolist() == [0, listeners, listeners]
    assert graph.to_users.offsets[-1] == listeners
    assert graph.to_users.weights[-1] == np.float32(listeners**-0.5)
    mass = popularity_mass(graph, alpha=1.0)
    cumulative = np.asarray(mass.cumulative)
    assert (np.diff(cumulative) >= 1).all() and cumulative[-1] <= 2**30


@pytest.mark.parametrize("what", ["edges", "users", "songs"])
def test_what_int32_can_not_number_is_refused_not_wrapped(what: str) -> None:
    # Views of a single number: nothing of that size is in memory.
    many = 2**31
    edges = np.broadcast_to(np.int32(0), many if what == "edges" else 1)
    with pytest.raises(ValueError, match="2,147,483,647 of each can be numbered"):
        build_graph(
            edges,
            edges,
            edges,
            num_users=many if what == "users" else 1,
            num_items=many if what == "songs" else 1,
        )


def test_the_limit_is_the_last_number_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert np.iinfo(np.int32).max == edges_module.MAX_EDGES
    monkeypatch.setattr(edges_module, "MAX_EDGES", 4)
    ones = np.ones(4, np.float32)
    build_graph(np.arange(4), np.zeros(4, int), ones, num_users=4, num_items=1)
    with pytest.raises(ValueError, match="at most 4 of each"):
        build_graph(np.arange(4), np.zeros(4, int), ones, num_users=5, num_items=1)


def test_negatives_of_a_user_with_every_song_but_one_are_that_song() -> None:
    songs = 10_000
    others = np.delete(np.arange(songs), 3_141)
    graph = build_graph(
        np.zeros(songs - 1, int), others, np.ones(songs - 1), num_users=1, num_items=songs
    )
    for mass in (None, popularity_mass(graph, alpha=0.75)):
        data = TrainingGraph(graph, mass)
        items, possible = sample_negatives(jax.random.key(0), data, jnp.zeros(64, jnp.int32), 4)
        assert possible.all()
        assert (items == 3_141).all()
