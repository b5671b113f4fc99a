"""Small histories in files, whose preparation and cuts are compared with those in memory."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.report.console import Console
from jaxrec.runs.prepare_folder import prepare_folder
from tests.data.prepared.columns import COLUMNS


def write_history(folder: Path, *, seed: int = 0, text: bool = True, files: int = 2) -> Path:
    """Writes Parquet files of some hundred listens: repeated ones, rows of no plays, fractions."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(files):
        rows = 250
        user, item = rng.integers(0, 20, rows), rng.integers(0, 15, rows) * 7 - 30
        table = {
            "who": [f"ü{u}" for u in user] if text else user,
            "what": item if number % 2 else [str(i) for i in item],
            "when": 1_600_000_000 + rng.integers(0, 60, rows) * 3_600,
            "count": rng.integers(0, 5, rows) / 4,
            "skipped": rng.integers(0, 5, rows) == 0,
            "ms": rng.integers(0, 60_000, rows),
            "title": [f"song {i}" if i % 3 else "" for i in item],
        }
        pq.write_table(pa.table(table), folder / f"part-{number}.parquet", row_group_size=40)
    return folder


def config_of(path: Path, **data: Any) -> RunConfig:
    """A configuration that reads a history of `write_history`."""
    columns = COLUMNS | data.pop("columns", {})
    own = {"source": "listens", "path": str(path), "columns": columns}
    return read_config({"quiet": True, "seed": 3, "data": own | data, "prepare": {"memory_mb": 64}})


def prepared(config: RunConfig, output: Path) -> Mapping[str, Any]:
    """Prepares what a configuration reads."""
    return prepare_folder(config, output, Console(quiet=True))


def assert_same_interactions(found: Interactions | None, expected: Interactions | None) -> None:
    """Edge for edge, id for id, listen for listen."""
    if found is None or expected is None:
        assert found is expected
        return
    for name in ("user", "item", "plays", "timestamp"):
        own, wanted = getattr(found, name), getattr(expected, name)
        assert (own is None) == (wanted is None), name
        if wanted is not None:
            assert own.dtype == wanted.dtype, name
            np.testing.assert_array_equal(own, wanted, err_msg=name)
    for ids, wanted in ((found.users, expected.users), (found.items, expected.items)):
        assert ids.ids.tolist() == wanted.ids.tolist()
        assert (ids.names is None) == (wanted.names is None)
        assert wanted.names is None or ids.names.tolist() == wanted.names.tolist()
    assert (found.events is None) == (expected.events is None)
    if found.events is not None and expected.events is not None:
        for name in ("offsets", "timestamp", "plays", "adds_up", "until", "moment"):
            own, wanted = getattr(found.events, name), getattr(expected.events, name)
            np.testing.assert_array_equal(own, wanted, err_msg=name)


def assert_same_split(found: Split, expected: Split) -> None:
    """The same parts, to the bit, and the same said of them."""
    for name in ("train", "validation", "test"):
        assert_same_interactions(getattr(found, name), getattr(expected, name))
    known, wanted = (  # of what is known the first time alone is asked for
        None if each.known is None else dataclasses.replace(each.known, events=None)
        for each in (found, expected)
    )
    assert_same_interactions(known, wanted)
    assert found.protocol == expected.protocol
    assert found.fingerprints == expected.fingerprints
    assert found.counts() == expected.counts()
