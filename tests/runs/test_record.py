"""A run's data written into its folder a block at a time, and read back."""

import dataclasses
from pathlib import Path

import pytest

from jaxrec.config import with_fields
from jaxrec.report.console import Console
from jaxrec.runs import record
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.record import load_run, open_run
from jaxrec.runs.run_folder import RunFolder
from tests.data.prepared.histories import assert_same_interactions, config_of, write_history


@pytest.mark.parametrize("rows", [7, 10**6])
def test_what_is_written_in_blocks_is_read_back_whole(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "ROWS_AT_ONCE", rows)
    config = config_of(write_history(tmp_path / "history"), drop="skipped == true", split="time")
    config = with_fields(config, {"method": "itemknn"})
    split = prepare_split(config, Console(quiet=True))
    open_run(RunFolder(tmp_path / "run"), config, split, steps_per_epoch={})
    found = load_run(RunFolder(tmp_path / "run")).split
    assert_same_interactions(found.train, split.train)
    for name in ("validation", "test", "known"):
        part, expected = getattr(found, name), getattr(split, name)
        assert len(expected) > 0
        # Of the parts that are measured on, no listens are kept.
        assert_same_interactions(part, dataclasses.replace(expected, events=None))
