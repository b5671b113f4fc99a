"""`tune`: test is out of reach, what can't be searched is refused and leaves nothing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from jaxrec.commands.tune import tune
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_cuts
from jaxrec.search.choice import read_choice
from tests.search.searches import ITEMKNN, SEARCHED

MakeConfig = Callable[..., RunConfig]


def test_a_search_without_validation_is_refused_and_leaves_nothing(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    for split in ("random", "none"):
        changes = ITEMKNN | {"data__validation_fraction": 0.0, "data__split": split}
        with pytest.raises(UserError, match=r"config\.data\.validation_fraction .* no validation"):
            tune(checkerboard_config(**changes), tmp_path / "search")
    assert not (tmp_path / "search").exists()


class Poison:
    """Whatever is asked of it, it fails."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"test.{name} was looked at")


@pytest.mark.parametrize(
    "changes", [ITEMKNN, {**SEARCHED, "tune__space": ("lr log 0.01 0.5",)}], ids=["itemknn", "gcn"]
)
def test_the_test_part_is_never_looked_at(
    checkerboard_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    def poisoned(config: RunConfig, console: Console) -> Any:
        cuts = prepare_cuts(config, console)
        return [dataclasses.replace(split, test=Poison()) for split in cuts]

    monkeypatch.setattr("jaxrec.commands.tune.prepare_cuts", poisoned)
    once = {"tune__trials": 1, "tune__cuts": 2, "epochs": 2}
    tune(checkerboard_config(**changes | once), tmp_path / "search")
    assert "chosen" in (tmp_path / "search" / "best_config.json").read_text()


def test_a_search_over_cuts_says_so_and_is_no_other_search(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ITEMKNN | {"tune__trials": 1, "tune__cuts": 2}
    tune(checkerboard_config(**config, quiet=False), tmp_path / "search")
    assert "on validation, mean of 2 cuts, " in capsys.readouterr().out
    choice = read_choice(tmp_path / "search")
    assert choice.validation is not None and choice.validation["cuts"] == 2
    with pytest.raises(UserError, match=r"with tune\.cuts = 2, this one has 1"):
        tune(checkerboard_config(**config | {"tune__cuts": 1}), tmp_path / "search")


def test_cuts_that_no_seed_decides_are_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(**ITEMKNN | {"data__split": "last_n", "tune__cuts": 2})
    with pytest.raises(UserError, match=r"cuts is 2 and config\.data\.split is 'last_n'"):
        tune(config, tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_a_seed_too_great_for_the_cuts_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(**ITEMKNN, seed=2**32 - 1, tune__cuts=2)
    with pytest.raises(UserError, match=r"config\.seed is 4294967296; expected"):
        tune(config, tmp_path / "search")
    assert not (tmp_path / "search").exists()
