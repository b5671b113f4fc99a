"""A history with a time for each listen, in which listeners come back to what they know."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.config import RunConfig
from tests.configurations import config_with

USERS, SONGS, MOMENT = 40, 24, 1_000_000
DAY = 86_400


def listens(seed: int = 0, *, later_seed: int | None = None) -> list[tuple[str, str, int]]:
    """Rows of user, song and time; a tenth of them are after the moment.

    Args:
      seed: of the listens before the moment.
      later_seed: of those after it; None for the seed.
    """
    rows = []
    for begin, end, count, own in (
        (MOMENT - 9 * DAY, MOMENT, 30, seed),
        (MOMENT, MOMENT + DAY, 4, seed if later_seed is None else later_seed),
    ):
        random = np.random.default_rng((own, begin))
        for user in range(USERS):
            group = user % 3
            # Songs of one's group and, less and less, any others; some far more than others.
            songs = np.minimum(random.geometric(0.15, count) - 1, SONGS // 3 - 1) * 3 + group
            songs = np.where(random.random(count) < 0.1, random.integers(0, SONGS, count), songs)
            times = random.integers(begin, end, count)
            rows += [
                (f"u{user:02}", f"s{song:02}", int(t)) for song, t in zip(songs, times, strict=True)
            ]
    return rows


def write(path: Path, rows: list[tuple[str, str, int]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "when"])
        writer.writerows(rows)
    return path


def config_by_time(path: Path, **changes: Any) -> RunConfig:
    """Cut at the moment, with validation; fields with __ for the dots."""
    fields: dict[str, Any] = {
        "data__source": "listens",
        "data__path": str(path),
        "data__columns__timestamp": "when",
        "data__split": "time",
        "data__moment": str(MOMENT),
        "data__time_format": "seconds",
        "data__validation_fraction": 0.1,
        "eval__ks": (5,),
        "eval__metric": "ndcg@5",
        "quiet": True,
    }
    return config_with(**fields | changes)
