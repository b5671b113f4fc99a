"""`recommend` and `similar`: lists for listeners, and songs like a song."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.errors import UserError
from jaxrec.rank.lists import check_ending, similar_items, top_lists, write_lists
from jaxrec.rank.measure import all_seen
from jaxrec.report.console import Console
from jaxrec.runs.trained import known_items, open_trained


def recommend(
    workdir: Path,
    *,
    k: int,
    output: Path | None,
    users: Sequence[str] | None,
    users_file: Path | None,
    include_listened: bool,
    step: int | None,
) -> None:
    """Writes the top k songs of all users, or of those named; the data need not be there.

    Args:
      workdir: the run's folder.
      k: songs per list.
      output: a .parquet or .csv file; None for recommendations.parquet in the run's folder.
      users: ids of the users, or None.
      users_file: a file with one id per line, or None.
      include_listened: whether songs the user has listened to may be listed.
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
    trained = open_trained(workdir, step)
    train = trained.split.train
    if users_file is not None:
        users = _read_lines(users_file)
    warm = np.unique(train.user)
    chosen = warm if users is None else _find_users(train, users)

    console = Console(quiet=trained.config.quiet)
    if users is None and len(warm) < train.num_users:
        console.warning(
            f"{train.num_users - len(warm):,} users without training listens are left out"
        )
    tables = top_lists(
        trained.model,
        trained.histories().take(chosen),
        names=train.users.ids[chosen],
        item_ids=train.items,
        k=min(k, train.num_items),
        candidates=known_items(trained.split),
        seen=None if include_listened else all_seen(trained.split),
        memory_budget_mb=trained.config.eval.memory_budget_mb,
    )
    with console.progress(len(chosen), "recommending", unit="users") as bar:
        rows = write_lists(tables, path, lambda users: bar.update(users))
    console.note(f"wrote {rows:,} recommendations for {len(chosen):,} users to {path}")


def similar(workdir: Path, *, item: str, k: int, step: int | None) -> None:
    """Shows the k songs nearest to a song; the data need not be there.

    Raises:
      UserError: no run there, or it doesn't know the song.
    """
    trained = open_trained(workdir, step)
    items = trained.split.train.items
    index = int(items.index_of([item])[0])
    known = known_items(trained.split)
    if index < 0 or not known[index]:
        raise UserError(f"--item={item}: {_unknown(items, index, 'song')}")
    nearest, similarities = similar_items(trained.model, index, k=k, candidates=known)
    Console().table(
        f"Songs like {items.label(index)}",
        ["rank", "song", "name", "similarity"],
        [
            [rank, str(items.ids[other]), items.label(other), float(similarity)]
            for rank, (other, similarity) in enumerate(
                zip(nearest, similarities, strict=True), start=1
            )
        ],
    )


def _find_users(train: Interactions, wanted: Sequence[str]) -> np.ndarray:
    index = train.users.index_of(wanted)
    degree = np.diff(train.user_offsets())
    for user, position in zip(wanted, index, strict=True):
        if position < 0 or degree[position] == 0:
            raise UserError(f"user {user!r}: {_unknown(train.users, position, 'user')}")
    return index


def _unknown(ids: IdMap, index: int, what: str) -> str:
    if index >= 0:
        return f"this {what} has no training listens, so there is nothing to go by"
    example = ", ".join(map(str, ids.ids[:3].tolist()))
    return f"the run knows no such {what}; expected an id such as {example}"


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # other ends may be part of an id
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--users_file={path}: {error}; expected a text file of ids") from error
    users = [line.removesuffix("\r") for line in lines if line.strip()]
    if not users:
        raise UserError(f"--users_file={path}: empty; expected one user's id per line")
    return users
