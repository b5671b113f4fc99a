"""What is prepared on disk is what the reader in memory gives, pair for pair and id for id."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec.config import with_fields
from jaxrec.data.interactions import aggregate
from jaxrec.data.prepared import prepare, splitting, stage
from jaxrec.data.prepared.arrays import open_array
from jaxrec.data.prepared.opened import open_prepared
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_all, prepare_cuts, prepare_split, read_history
from tests.data.prepared.histories import (
    assert_same_interactions,
    assert_same_split,
    config_of,
    prepared,
    write_history,
)

QUIET = Console(quiet=True)
READINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "numbers for ids": {"text": False},
    "no times": {"columns": {"timestamp": None}},
    "one play each": {"columns": {"plays": None}},
    "names": {"columns": {"item_name": "title"}},
    "skipped ones known": {"drop": "skipped == true", "columns": {"ms_played": "ms"}},
    "a window": {"time_from": "2020-09-14", "time_until": "2020-09-15 08:00"},
    "identical ones dropped": {"identical_rows": "drop"},
    "ratings": {"columns": {"plays": None, "rating": "count"}, "min_rating": 0.5},
}
SPLITS: dict[str, dict[str, Any]] = {
    "none": {"split": "none"},
    "none, filtered": {"split": "none", "min_plays": 0.75, "core": 9},
    "random": {"split": "random"},
    "random, filtered": {"split": "random", "min_plays": 0.75, "core": 9},
    "alike": {"split": "random", "validation_rule": "alike"},
    "last_n": {"split": "last_n", "last_n": 2, "validation_last_n": 1},
    "time": {"split": "time"},
    "time, filtered": {"split": "time", "min_plays": 0.5, "core": 3, "validation_fraction": 0.2},
    "time at a moment": {"split": "time", "moment": "2020-09-15", "validation_fraction": 0.0},
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks, partitions and blocks of few rows."""
    monkeypatch.setattr(stage, "CHUNK_ROWS", 100)
    monkeypatch.setattr(prepare, "_BYTES_PER_ROW", 1 << 20)
    monkeypatch.setattr(splitting, "BLOCK_PAIRS", 40)


@pytest.mark.parametrize("reading", READINGS)
def test_prepared_is_what_is_read(reading: str, tmp_path: Path) -> None:
    fields = dict(READINGS[reading])
    history = write_history(tmp_path / "history", text=fields.pop("text", True))
    config = config_of(history, **fields)
    expected = read_history(config, QUIET).listens
    about = prepared(config, tmp_path / "prepared")
    found = open_prepared(tmp_path / "prepared")
    assert about["portrait"]["listens"] == len(expected)
    whole = found.listens()
    assert_same_interactions(aggregate(whole), aggregate(expected))
    assert (whole.known is None) == (expected.known is None)
    if whole.known is not None and expected.known is not None:
        assert_same_interactions(aggregate(whole.known), aggregate(expected.known))
    assert len(list(found.blocks(40))) > 3


def test_both_orientations_are_the_pairs(tmp_path: Path) -> None:
    config = config_of(write_history(tmp_path / "history"))
    expected = aggregate(read_history(config, QUIET).listens)
    prepared(config, tmp_path / "prepared")
    found = open_prepared(tmp_path / "prepared")

    def array(name: str) -> np.ndarray:
        return open_array(found.layout.array(name))

    np.testing.assert_array_equal(array("user_offsets"), expected.user_offsets())
    order = np.lexsort((expected.user, expected.item))
    np.testing.assert_array_equal(array("item_users"), expected.user[order])
    degrees = np.bincount(expected.item, minlength=expected.num_items)
    np.testing.assert_array_equal(np.diff(array("item_offsets")), degrees)


def test_items_are_turned_over_a_few_at_a_time(tmp_path: Path) -> None:
    config = config_of(write_history(tmp_path / "history"))
    prepared(config, tmp_path / "prepared")
    layout = open_prepared(tmp_path / "prepared").layout
    before = layout.array("item_users").read_bytes()
    prepare.write_orientations(layout, 25, 18, rows_at_once=1)
    assert layout.array("item_users").read_bytes() == before


@pytest.mark.parametrize("cut", SPLITS)
def test_a_split_from_the_disk_is_the_one_in_memory(cut: str, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history")
    config = config_of(history, drop="skipped == true", **SPLITS[cut])
    prepared(config, tmp_path / "prepared")
    from_disk = with_fields(config, {"data.path": str(tmp_path / "prepared")})
    expected = prepare_split(config, QUIET)
    assert_same_split(prepare_split(from_disk, QUIET), expected)
    assert_same_split(prepare_split(from_disk, QUIET), expected)  # what is there is opened
    assert_same_split(prepare_all(from_disk, QUIET), prepare_all(config, QUIET))


def test_validation_parts_from_the_disk_are_those_in_memory(tmp_path: Path) -> None:
    config = with_fields(config_of(write_history(tmp_path / "history")), {"tune.cuts": 3})
    prepared(config, tmp_path / "prepared")
    from_disk = with_fields(config, {"data.path": str(tmp_path / "prepared")})
    pairs = zip(prepare_cuts(from_disk, QUIET), prepare_cuts(config, QUIET), strict=True)
    for found, expected in pairs:
        assert_same_split(found, expected)
