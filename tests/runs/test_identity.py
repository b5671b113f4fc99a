"""What must agree for a run to go on, and between the processes of one."""

from pathlib import Path
from typing import Any

import pytest

from jaxrec.config import with_fields
from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.report.console import Console
from jaxrec.runs.identity import check_alike
from jaxrec.runs.prepare import prepare_split
from tests.checkerboard import config_of, write_checkerboard


def test_data_are_digested_only_for_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(write_checkerboard(tmp_path / "listens.csv"))
    split = prepare_split(config, Console(quiet=True))
    check_alike(config, split)
    assert "fingerprints" not in vars(split)  # a cached property

    told: list[dict[str, Any]] = []

    def gathered(what: str, own: dict[str, Any]) -> list[dict[str, Any]]:
        told.append(own)
        return [told[0], own]

    monkeypatch.setattr(together, "count", lambda: 2)
    monkeypatch.setattr(together, "gathered", gathered)
    check_alike(config, split)
    assert "fingerprints" in vars(split)
    with pytest.raises(UserError, match=r"process 1 has seed = 9, process 0 has 0; expected"):
        check_alike(with_fields(config, {"seed": 9}), split)
