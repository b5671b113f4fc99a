"""What listeners know though nothing is learnt from it stays out of every list."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig
from jaxrec.data.options import SeenRule
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_all, prepare_split
from jaxrec.runs.record import load_run
from jaxrec.runs.run_folder import RunFolder
from tests.configurations import config_with
from tests.recommending import recommend

USERS, ITEMS, DAY = 12, 9, 86_400
# Each listener u skips song u % ITEMS on day 4 and hears all others, one a day.
SKIPPED_ON = 4
PARTS = {"path": "train", "test_path": "test"}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., RunConfig]:
    """Makes configurations for a history in which everyone has skipped a song."""
    path = tmp_path / "plays.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "time", "ms"])
        for user in range(USERS):
            for day in range(ITEMS):
                skipped = day == SKIPPED_ON
                item = (user + day + 5) % ITEMS if not skipped else user % ITEMS
                time = 1_600_000_000 + DAY * day + user
                writer.writerow([f"u{user:02}", f"s{item}", time, 1_000 if skipped else 200_000])

    def make(**changes: object) -> RunConfig:
        return config_with(
            **{
                "method": "itemknn",
                "data__source": "listens",
                "data__path": str(path),
                "data__columns__timestamp": "time",
                "data__columns__ms_played": "ms",
                "data__min_ms_played": 30_000,
                "data__split": "none",
                "data__validation_fraction": 0.0,
            }
            | changes
        )

    return make


def lists(run: Path, *, seen: SeenRule) -> set[tuple[str, str]]:
    output = run.parent / "lists.parquet"
    recommend(
        run,
        k=ITEMS,
        output=output,
        users=None,
        users_file=None,
        seen=seen,
        step=None,
    )
    rows = pq.read_table(output).to_pylist()
    return {(row["user"], row["item"]) for row in rows}


def skipped_pairs(split: Split) -> set[tuple[str, str]]:
    known = split.known
    assert known is not None
    return set(zip(known.users.ids[known.user], known.items.ids[known.item], strict=True))


def test_a_skipped_song_is_never_listed_but_on_request(
    config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    commands.train(config(), run)
    skipped = skipped_pairs(prepare_split(config(), Console(quiet=True)))
    assert len(skipped) == USERS
    assert not skipped & lists(run, seen="exclude")
    assert skipped <= lists(run, seen="include")


def test_all_of_a_given_pair_has_what_was_skipped_in_either_part(
    config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    whole = config()
    first, *rows = Path(whole.data.path or "").read_text("utf-8").splitlines(keepends=True)
    for name, part in (("train", rows[::2]), ("test", rows[1::2])):
        (tmp_path / f"{name}.csv").write_text(first + "".join(part), encoding="utf-8")
    pair = {f"data__{field}": str(tmp_path / f"{name}.csv") for field, name in PARTS.items()}
    everything = prepare_all(config(**pair, data__split="given"), Console(quiet=True))
    expected = prepare_split(whole, Console(quiet=True))
    assert skipped_pairs(everything) == skipped_pairs(expected)
    assert len(everything.train) == len(expected.train)


def test_the_folder_keeps_them(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    run = tmp_path / "run"
    commands.train(config(), run)
    split = prepare_split(config(), Console(quiet=True))
    assert skipped_pairs(load_run(RunFolder(run)).split) == skipped_pairs(split)
    with pytest.raises(UserError, match=r"a run with data \((train|known) interactions"):
        commands.train(config(data__min_ms_played=0), run)


@pytest.mark.parametrize(("moment", "masked"), [(SKIPPED_ON + 2, True), (SKIPPED_ON - 1, False)])
def test_an_evaluation_masks_what_was_known_before_the_cut(
    config: Callable[..., RunConfig], tmp_path: Path, moment: int, masked: bool
) -> None:
    own = config(data__split="time", data__moment=str(1_600_000_000 + DAY * moment))
    split = prepare_split(own, Console(quiet=True))
    assert split.test is not None and split.known is not None
    assert not set(split.known.keys()) & set(split.test.keys()), "a positive is never masked"
    commands.train(own, tmp_path / "run")
    protocol = json.loads((tmp_path / "run" / "results.json").read_text())["protocol"]
    count = len(split.train) + (len(split.known) if masked else 0)
    assert protocol["masked"] == f"each user's own interactions seen before ({count} in all)"
