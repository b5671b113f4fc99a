"""What is prepared on disk is what the reader in memory gives, pair for pair and id for id."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec.config import with_fields
from jaxrec.data.interactions import Interactions, aggregate
from jaxrec.data.prepared import prepare, splitting, stage
from jaxrec.data.prepared.arrays import open_array
from jaxrec.data.prepared.cutting import Cut
from jaxrec.data.prepared.layout import Layout
from jaxrec.data.prepared.moments import kth_smallest
from jaxrec.data.prepared.opened import Prepared, open_prepared
from jaxrec.data.prepared.orientation import write_orientations
from jaxrec.data.prepared.pairs import count_all
from jaxrec.data.prepared.partitions import by_partition
from jaxrec.errors import UserError
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
KNOWN: dict[str, Any] = {"drop": "skipped == true"}
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
    "none, filtered": {"split": "none", "min_plays": 0.75, "core": 4},
    "random": {"split": "random"},
    "random, filtered": {"split": "random", "min_plays": 0.75, "core": 4},
    "alike": {"split": "random", "validation_rule": "alike"},
    "last_n": {"split": "last_n", "last_n": 2, "validation_last_n": 1},
    "time": {"split": "time"},
    "time, filtered": {"split": "time", "min_plays": 0.5, "core": 3, "validation_fraction": 0.2},
    "time at a moment": {"split": "time", "moment": "2020-09-15", "validation_fraction": 0.0},
}


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """Many chunks, partitions and blocks of few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "CHUNK_ROWS", 100)
        patch.setattr(prepare, "_BYTES_PER_ROW", 1 << 20)
        patch.setattr(splitting, "BLOCK_PAIRS", 40)
        yield


@pytest.fixture(scope="module")
def twice(small_pieces: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A history with pairs that are known, in files, and prepared."""
    folder = tmp_path_factory.mktemp("twice")
    files = write_history(folder / "history")
    prepared(config_of(files, **KNOWN), folder / "prepared")
    return files, folder / "prepared"


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


def test_both_orientations_are_the_pairs(twice: tuple[Path, Path]) -> None:
    expected = aggregate(read_history(config_of(twice[0], **KNOWN), QUIET).listens)
    layout = open_prepared(twice[1]).layout

    def array(name: str) -> np.ndarray:
        return open_array(layout.array(name))

    np.testing.assert_array_equal(array("user_offsets"), expected.user_offsets())
    order = np.lexsort((expected.user, expected.item))
    np.testing.assert_array_equal(array("item_users"), expected.user[order])
    degrees = np.bincount(expected.item, minlength=expected.num_items)
    np.testing.assert_array_equal(np.diff(array("item_offsets")), degrees)


def test_a_partition_keeps_counts_of_its_own_ids_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: dict[str, list[int]] = {}

    def seen(layout: Layout, *others: Any) -> Any:
        for name in ("of_user", "of_item", "item"):
            pieces = sorted(layout.work.glob(f"{name}-0*.npy"))
            lengths[name] = [len(open_array(path)) for path in pieces]
        return count_all(layout, *others)

    monkeypatch.setattr(prepare, "count_all", seen)
    prepared(config_of(write_history(tmp_path / "history")), tmp_path / "prepared")
    assert len(lengths["of_user"]) > 3
    assert sum(lengths["of_user"]) == len(open_prepared(tmp_path / "prepared").users)
    assert all(ids <= pairs for ids, pairs in zip(lengths["of_item"], lengths["item"], strict=True))


def test_there_may_be_any_number_of_partitions() -> None:
    user = np.array([39_999, 5, 39_999, 33_000, 5])
    order, offsets = by_partition(user, range(40_001))
    assert order.tolist() == [1, 4, 3, 0, 2]
    assert offsets[[0, 5, 6, 33_000, 33_001, 39_999, 40_000]].tolist() == [0, 0, 2, 2, 3, 3, 5]


def test_items_are_turned_over_a_few_at_a_time(twice: tuple[Path, Path], tmp_path: Path) -> None:
    found = open_prepared(twice[1])
    layout = Layout(tmp_path)
    for name in ("user", "item"):
        shutil.copy(found.layout.array(name), layout.array(name))
    write_orientations(layout, len(found.users), len(found.items), rows_at_once=1)
    for name in ("user_offsets", "item_offsets", "item_users"):
        assert layout.array(name).read_bytes() == found.layout.array(name).read_bytes()


@pytest.mark.parametrize("cut", SPLITS)
def test_a_split_from_the_disk_is_the_one_in_memory(cut: str, twice: tuple[Path, Path]) -> None:
    from_files, from_disk = (config_of(path, **KNOWN, **SPLITS[cut]) for path in twice)
    expected = prepare_split(from_files, QUIET)
    assert_same_split(prepare_split(from_disk, QUIET), expected)
    assert_same_split(prepare_split(from_disk, QUIET), expected)  # what is there is opened


def test_those_who_came_since_are_kept_where_they_are_wanted(twice: tuple[Path, Path]) -> None:
    cut: dict[str, Any] = {
        "split": "time",
        "moment": "2020-09-13 16:00",
        "validation_fraction": 0.0,
    }
    found, expected = (
        prepare_split(with_fields(config_of(path, **KNOWN, **cut), {"eval.cold": "fold_in"}), QUIET)
        for path in twice[::-1]
    )
    assert_same_split(found, expected)
    assert expected.newcomers is not None
    assert_same_interactions(found.newcomers, expected.newcomers)


def test_all_of_it_from_the_disk_is_all_of_it_in_memory(twice: tuple[Path, Path]) -> None:
    one, other = (prepare_all(config_of(path, **KNOWN), QUIET) for path in twice)
    assert_same_split(one, other)


def test_validation_parts_from_the_disk_are_those_in_memory(twice: tuple[Path, Path]) -> None:
    from_files, from_disk = (
        prepare_cuts(with_fields(config_of(path, **KNOWN), {"tune.cuts": 3}), QUIET)
        for path in twice
    )
    for found, expected in zip(from_disk, from_files, strict=True):
        assert_same_split(found, expected)


def test_a_cut_is_made_once_whatever_settings_it_has_no_use_for(
    twice: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    unused: dict[str, dict[str, Any]] = {
        "none": {"test_fraction": 0.7, "last_n": 3, "validation_fraction": 0.4},
        "random": {"last_n": 3, "validation_last_n": 2},
        "last_n": {"test_fraction": 0.7, "validation_fraction": 0.4},
        "time at a moment": {"test_fraction": 0.7, "last_n": 3, "validation_last_n": 2},
    }
    for cut in unused:
        prepare_split(config_of(twice[1], **KNOWN, **SPLITS[cut]), QUIET)
    monkeypatch.setattr(splitting, "_write", lambda *_: pytest.fail("cut again"))
    for cut, others in unused.items():
        from_files, from_disk = (config_of(path, **KNOWN, **SPLITS[cut] | others) for path in twice)
        if cut in ("none", "time at a moment"):
            from_files, from_disk = (with_fields(c, {"seed": 8}) for c in (from_files, from_disk))
        assert_same_split(prepare_split(from_disk, QUIET), prepare_split(from_files, QUIET))


def test_other_seeds_and_shares_cut_otherwise(twice: tuple[Path, Path]) -> None:
    config = config_of(twice[1], **KNOWN, split="random")
    changed = ({}, {"seed": 8}, {"data.test_fraction": 0.35}, {"data.validation_fraction": 0.3})
    cuts = [prepare_split(with_fields(config, each), QUIET) for each in changed]
    assert len({cut.fingerprints["train"] for cut in cuts}) == len(changed)


def test_listens_are_read_only_where_they_are_cut_or_written(
    twice: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, block = [], Prepared.block

    def seen(self: Prepared, *users: int, with_events: bool = True) -> Interactions:
        read.append(with_events)
        return block(self, *users, with_events=with_events)

    monkeypatch.setattr(Prepared, "block", seen)
    prepare_split(config_of(twice[1], **KNOWN, split="random", core=3), QUIET)
    assert sum(read) == len(list(open_prepared(twice[1]).blocks(40)))
    assert len(read) > 2 * sum(read)  # also for the filter, and for what is used


def test_of_two_that_cut_at_the_same_time_the_first_counts(
    twice: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, write = config_of(twice[1], **KNOWN, test_fraction=0.3), splitting._write

    def overtaken(found: Prepared, cut: Cut, layout: Layout, settings: dict[str, Any]) -> None:
        write(found, cut, layout, settings)
        shutil.copytree(layout.root, found.layout.splits / layout.root.name.partition(".")[0])

    monkeypatch.setattr(splitting, "_write", overtaken)
    expected = prepare_split(config_of(twice[0], **KNOWN, test_fraction=0.3), QUIET)
    assert_same_split(prepare_split(config, QUIET), expected)
    assert not list((twice[1] / "splits").glob("*.partial"))


def test_what_a_killed_process_has_left_of_a_split_is_removed(
    twice: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = config_of(twice[1], **KNOWN, test_fraction=0.4)
    monkeypatch.setattr(splitting.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(splitting, "_write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare_split(killed, QUIET)
    monkeypatch.undo()
    assert len(list((twice[1] / "splits").glob("*.partial"))) == 1
    prepare_split(killed, QUIET)
    assert not list((twice[1] / "splits").glob("*.partial"))


def test_filters_that_leave_nothing_are_refused_alike(twice: tuple[Path, Path]) -> None:
    for path in twice:
        with pytest.raises(UserError, match=r"core is 99; expected lower values: no interaction"):
            prepare_split(config_of(path, **KNOWN, core=99), QUIET)


def test_the_kth_smallest_is_found_without_sorting() -> None:
    rng = np.random.default_rng(0)
    for numbers in (rng.integers(-5, 5, 99), rng.integers(-(2**50), 2**50, 99), np.zeros(3, int)):
        pieces = np.array_split(numbers, 4)
        for k in range(len(numbers)):
            assert kth_smallest(lambda pieces=pieces: iter(pieces), k) == np.sort(numbers)[k]
