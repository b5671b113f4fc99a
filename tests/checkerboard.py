"""Groups of users who each know their group's items but one: what is to be found is known."""

import csv
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig
from tests.configurations import config_with

GROUPS, USERS_PER_GROUP, ITEMS_PER_GROUP = 4, 12, 10
# For methods whose defaults are for real data.
SMALL: dict[str, Any] = {"baseline__gfcf__singular_vectors": 4, "baseline__ials__dim": 8}


def withheld() -> dict[str, str]:
    """By user the item that is to be found."""
    return {
        f"u{group}-{user}": f"s{group}-{user % ITEMS_PER_GROUP}"
        for group in range(GROUPS)
        for user in range(USERS_PER_GROUP)
    }


def write_checkerboard(path: Path, *, times: bool = False) -> Path:
    """Writes the listens of groups of listeners who each know their group's songs but one, as CSV.

    Every song is withheld by someone and known by the rest of the group, so the withheld one is
    the only sensible recommendation (as in the tests of the library implicit).

    Args:
      path: where.
      times: whether there is a column of them, too: each listener hears all songs within an hour,
        in an order of the listener's own.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["user", "item", "plays", "title"]
        writer.writerow([*header, "time"] if times else header)
        for group in range(GROUPS):
            for user in range(USERS_PER_GROUP):
                for item in range(ITEMS_PER_GROUP):
                    if f"s{group}-{item}" != withheld()[f"u{group}-{user}"]:
                        row = [f"u{group}-{user}", f"s{group}-{item}", 1 + item, f"Song {item}"]
                        place = (item * 7 + user) % ITEMS_PER_GROUP  # in another order for each
                        time = 10**9 + place * 240
                        writer.writerow([*row, time] if times else row)
    return path


def config_of(checkerboard: Path, **changes: Any) -> RunConfig:
    """A configuration for the checkerboard, trained in a second; further changes by name."""
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
