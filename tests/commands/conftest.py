"""Small runs from start to end."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaxrec.config import RunConfig
from tests.runs import config_with

GROUPS, USERS_PER_GROUP, ITEMS_PER_GROUP = 4, 12, 10


@pytest.fixture
def checkerboard(tmp_path: Path) -> Path:
    """Listens of groups of listeners who each know their group's songs but one, as CSV.

    Every song is withheld by someone and known by the rest of the group, so the withheld one is
    the only sensible recommendation (as in the tests of the library implicit).
    """
    path = tmp_path / "listens.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "plays", "title"])
        for group in range(GROUPS):
            for user in range(USERS_PER_GROUP):
                for item in range(ITEMS_PER_GROUP):
                    if item != user % ITEMS_PER_GROUP:
                        row = [f"u{group}-{user}", f"s{group}-{item}", 1 + item, f"Song {item}"]
                        writer.writerow(row)
    return path


@pytest.fixture
def checkerboard_config(checkerboard: Path) -> Callable[..., RunConfig]:
    """A configuration for the checkerboard, trained in a second; further changes by name."""

    def make(**changes: Any) -> RunConfig:
        return config_with(
            **{
                "data__source": "listens",
                "data__path": str(checkerboard),
                "data__columns__plays": "plays",
                "data__columns__item_name": "title",
                "data__split": "none",
                "data__validation_fraction": 0.0,
                "model__dim": 8,
                "batch_size": 64,
                "epochs": 4,
                "lr": 0.05,
            }
            | changes
        )

    return make
