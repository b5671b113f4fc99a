"""`explain` and `score`: what a model says of some listeners and songs."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxrec.api.lookup import item_index, user_indices
from jaxrec.api.recommender import Recommender, recommender_of
from jaxrec.commands.tables import read_pairs
from jaxrec.commands.who import NAMED, of_file
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.rank.lists import check_ending, write_lists
from jaxrec.rank.measure import histories_of
from jaxrec.rank.reasons import reasons_table
from jaxrec.report.console import Console
from jaxrec.runs.trained import open_for_use

BLOCK = 64  # users whose scores are held at once


def explain(
    workdir: Path,
    *,
    user: str | None,
    item: str,
    k: int,
    histories: Path | None = None,
    config: RunConfig | None = None,
    step: int | None = None,
) -> None:
    """Shows what each song of a listener's history brings to a song's score.

    Args:
      workdir: the run's folder.
      user: the listener's id; None for the only one of `histories`.
      item: the id of the song whose score is explained.
      k: how many songs of the history are shown; the others are added up.
      histories: a listening history of after training with the listener in it, or None.
      config: its `data` says how that is read; None for as the run's was.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, or it doesn't know the listener or the song.
    """
    model = recommender_of(open_for_use(workdir, step))
    console = Console(quiet=model.config.quiet)
    history, name = _history(model, user, histories, config, console)
    items = model.split.train.items
    index = item_index(model.split, item)
    table = reasons_table(model.model, history, index, items)
    values = table["contribution"].to_numpy()
    of_songs = len(history.items)
    labels = [
        items.label(int(each)) for each in items.index_of(table["item"].to_pylist()[:of_songs])
    ]
    rows: list[list[str | float]] = [
        [label, float(value)] for label, value in zip(labels[:k], values[:k], strict=False)
    ]
    if of_songs > k:
        rows.append([f"{of_songs - k:,} other songs", float(values[k:of_songs].sum())])
    rest = table["rest"].to_pylist()[of_songs:]
    rows += [
        [f"({what})", float(value)] for what, value in zip(rest, values[of_songs:], strict=True)
    ]
    rows.append(["score", float(values.sum())])
    Console().table(
        f"Why {items.label(index)} for {name}", ["song listened to", "contribution"], rows
    )


def score(workdir: Path, *, pairs: Path, output: Path | None, step: int | None = None) -> None:
    """Writes the scores of given pairs of a listener and a song.

    Args:
      workdir: the run's folder.
      pairs: a .csv or .parquet file with the columns user and item.
      output: a .parquet or .csv file; None for scores.parquet in the run's folder.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, a file that can't be read or written, or no pair that is known.
    """
    path = workdir / "scores.parquet" if output is None else output
    check_ending(path)
    users, wanted = read_pairs(pairs, "pairs")
    model = recommender_of(open_for_use(workdir, step))
    console = Console(quiet=model.config.quiet)
    train = model.split.train
    user, item = train.users.index_of(users), train.items.index_of(wanted)
    heard = np.diff(train.user_offsets()) > 0
    listed = np.bincount(train.item, minlength=train.num_items) > 0
    known = (user >= 0) & (item >= 0) & heard[user] & listed[item]
    if not known.any():
        raise UserError(
            f"--pairs={pairs}: training knew none of the {len(users):,} pairs' listeners and "
            f"songs; expected ids such as {train.users.ids[0]} and {train.items.ids[0]}"
        )
    if not known.all():
        some = [f"{users[at]} with {wanted[at]}" for at in np.flatnonzero(~known)[:NAMED]]
        console.warning(
            f"--pairs={pairs}: {int((~known).sum()):,} of {len(users):,} pairs have a listener or "
            f"a song that training didn't know, such as {', '.join(some)}; their score is empty"
        )
    scores = np.full(len(users), np.nan, np.float32)
    scores[known] = _scores(model, user[known], item[known])
    table = pa.table({"user": users, "item": wanted, "score": pa.array(scores, mask=~known)})
    write_lists(iter([(len(users), table)]), path, lambda users: None)
    console.note(f"wrote {int(known.sum()):,} scores to {path}")


def _history(
    model: Recommender,
    user: str | None,
    histories: Path | None,
    config: RunConfig | None,
    console: Console,
) -> tuple[Histories, str]:
    """The listener's history, and what to call them."""
    if histories is None:
        if user is None:
            raise UserError("--users is missing; expected the id of a listener, or --histories")
        return _histories_of(model, user_indices(model.split, [user])), user
    asked = of_file(model, histories, config, "exclude", console)[1].asked
    names = [str(name) for name in asked.names.tolist()]
    if user is None and len(names) == 1:
        return asked.histories, names[0]
    if user not in names:
        some = ", ".join(names[:NAMED]) or "a listener with songs that training knew"
        raise UserError(
            f"--histories={histories}: no listener {user!r} with songs that training knew; "
            f"expected --users with one of its {len(names):,}, such as {some}"
        )
    return asked.histories.take(np.array([names.index(user)])), user


def _histories_of(model: Recommender, users: np.ndarray) -> Histories:
    return histories_of(model.split.train, model.config).take(users)


def _scores(model: Recommender, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Of pairs that the model knows: [n] float32."""
    found = np.zeros(len(user), np.float32)
    different, place = np.unique(user, return_inverse=True)
    for start in range(0, len(different), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(different)))
        # Filled up, so that every product is of one shape, as in the lists.
        histories = _histories_of(model, different[np.resize(block, BLOCK)])
        scores = np.asarray(model.model.scores(histories))
        here = (place >= start) & (place < start + BLOCK)
        found[here] = scores[place[here] - start, item[here]]
    return found
