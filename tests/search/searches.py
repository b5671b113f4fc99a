"""Small searches, and what they have come to."""

import csv
from pathlib import Path
from typing import Any

SEARCHED: dict[str, Any] = {
    "data__split": "random",
    "data__validation_fraction": 0.2,
    "eval__metric": "recall@3",
    "eval__ks": (3,),
}
ITEMKNN: dict[str, Any] = {
    **SEARCHED,
    "method": "itemknn",
    "tune__space": ("baseline.itemknn.shrink log 0.1 100", "baseline.itemknn.neighbours int 1 8"),
    "tune__trials": 16,  # the estimator takes over from random settings at the eleventh
}


def outcome(workdir: Path) -> tuple[str, str]:
    return (workdir / "trials.csv").read_text(), (workdir / "best_config.json").read_text()


def rows_of(workdir: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((workdir / "trials.csv").read_text().splitlines()))
