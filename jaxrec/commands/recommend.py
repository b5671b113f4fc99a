"""`recommend` and `similar`: lists for listeners, and songs like a song."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrec.api.recommender import recommender_of
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.rank.lists import check_ending, write_lists
from jaxrec.report.console import Console
from jaxrec.runs.trained import open_for_use


def recommend(
    workdir: Path,
    *,
    k: int,
    output: Path | None,
    users: Sequence[str] | None,
    users_file: Path | None,
    seen: SeenRule = "exclude",
    step: int | None,
) -> None:
    """Writes the top k songs of all users, or of those named; the data need not be there.

    Args:
      workdir: the run's folder.
      k: songs per list.
      output: a .parquet or .csv file; None for recommendations.parquet in the run's folder.
      users: ids of the users, or None.
      users_file: a file with one id per line, or None.
      seen: songs the user has listened to: `exclude` them, `include` them, or list `only` them.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, an unknown user, or an output that can't be written.
    """
    if users is not None and users_file is not None:
        raise UserError("--users and --users_file are both set; expected one of them")
    if users is not None and not all(each.strip() for each in users or [""]):
        raise UserError(f"--users={','.join(users)}: an empty id; expected ids by commas")
    path = workdir / "recommendations.parquet" if output is None else output
    check_ending(path)
    model = recommender_of(open_for_use(workdir, step))
    if users_file is not None:
        users = _read_lines(users_file)
    chosen = model.user_indices(users)

    console = Console(quiet=model.config.quiet)
    cold = model.split.train.num_users - len(np.unique(model.split.train.user))
    if users is None and cold:
        console.warning(f"{cold:,} users without training listens are left out")
    tables = model.lists(chosen, k=k, seen=seen)
    with console.progress(len(chosen), "recommending", unit="users") as bar:
        rows = write_lists(tables, path, lambda users: bar.update(users))
    console.note(f"wrote {rows:,} recommendations for {len(chosen):,} users to {path}")


def similar(workdir: Path, *, item: str, k: int, step: int | None) -> None:
    """Shows the k songs nearest to a song; the data need not be there.

    Raises:
      UserError: no run there, or it doesn't know the song.
    """
    model = recommender_of(open_for_use(workdir, step))
    table = model.similar(item, k=k)
    items = model.split.train.items
    labels = [items.label(index) for index in items.index_of(table["item"].to_pylist())]
    Console().table(
        f"Songs like {items.label(int(items.index_of([item])[0]))}",
        ["rank", "song", "name", "similarity"],
        [
            [row["rank"], str(row["item"]), label, row["similarity"]]
            for row, label in zip(table.to_pylist(), labels, strict=True)
        ],
    )


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # other ends may be part of an id
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--users_file={path}: {error}; expected a text file of ids") from error
    users = [line.removesuffix("\r") for line in lines if line.strip()]
    if not users:
        raise UserError(f"--users_file={path}: empty; expected one user's id per line")
    return users
