"""What the lists of `recommend` may hold: from its flags."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxrec.api.recommender import Recommender
from jaxrec.commands.tables import is_table, read_ids, read_pairs
from jaxrec.commands.who import NAMED
from jaxrec.data.ids import IdMap
from jaxrec.data.names import artist_numbers
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.rank.asked import Asked
from jaxrec.report.console import Console
from jaxrec.runs.trained import known_items


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lists:
    """What lists are asked for, by the flags.

    Attributes:
      k: songs per list.
      seen: songs the user has listened to: `exclude` them, `include` them, or list `only` them.
      items_file: a file with the ids of the songs that may be listed, one per line, or None.
      exclude_file: a file of ids that may not, or a table of user and item; or None.
      per_artist: songs of one artist per list at the most; None for any number.
      because: how many songs of the history are named as reasons.
    """

    k: int = 10
    seen: SeenRule = "exclude"
    items_file: Path | None = None
    exclude_file: Path | None = None
    per_artist: int | None = None
    because: int = 0


Key = int | str  # of a user: the index in training; the id as text where training has none


def check_artists(model: Recommender, per_artist: int | None) -> None:
    """Checks that artists are known where lists are limited by them.

    Raises:
      UserError: none is.
    """
    if per_artist is not None and (artist_numbers(model.split.train.items) < 0).all():
        raise UserError(
            f"--per_artist={per_artist}: no song's name tells of an artist; expected a run whose "
            "listens were read with config.data.columns.artist, or no --per_artist"
        )


def listable(model: Recommender, items_file: Path | None, console: Console) -> np.ndarray:
    """[num_items] bool, the items that may be listed: all that train knows, or those of a file.

    Raises:
      UserError: train knows none of the file's.
    """
    known = known_items(model.split)
    if items_file is None:
        return known
    found = _indices(
        model, read_ids(items_file, "items_file"), f"--items_file={items_file}", console
    )
    chosen = np.zeros_like(known)
    chosen[found] = True
    if not (chosen & known).any():
        raise UserError(
            f"--items_file={items_file}: none of its songs is in the training listens; expected "
            f"ids such as {', '.join(map(str, model.items[:NAMED]))}"
        )
    return chosen & known


@dataclasses.dataclass(frozen=True, eq=False)
class Excluded:
    """What is not to be listed.

    Attributes:
      items: indices of those that nobody's list may hold.
      of_user: by user, indices of those that this one's may not.
      users: those of training.
    """

    items: np.ndarray
    of_user: Mapping[Key, Sequence[int]]
    users: IdMap

    def of(self, asked: Asked) -> Asked:
        """The same users, their own excluded items hidden; a user may be there several times."""
        if not self.of_user:
            return asked
        keys = _keys(self.users, asked.names.tolist())
        pairs = [(row, item) for row, key in enumerate(keys) for item in self.of_user.get(key, ())]
        row, item = np.array(pairs, np.int64).reshape(-1, 2).T
        return asked.hiding(row, item)


def excluded(
    model: Recommender, exclude_file: Path | None, names: Sequence[object], console: Console
) -> Excluded:
    """Songs that are not to be listed: ids for everybody, or a table of listeners and songs.

    Args:
      model: the run's.
      exclude_file: the ids or the table, None for nothing.
      names: ids of those whose lists are wanted.
      console: where to say which ids aren't known.

    Raises:
      UserError: the file can't be read.
    """
    nothing, known = np.zeros(0, np.int32), model.split.train.users
    if exclude_file is None:
        return Excluded(nothing, {}, known)
    place = f"--exclude_file={exclude_file}"
    if not is_table(exclude_file):
        found = _indices(model, read_ids(exclude_file, "exclude_file"), place, console)
        return Excluded(found, {}, known)
    users, items = read_pairs(exclude_file, "exclude_file")
    keys, wanted = _keys(known, users), {*_keys(known, names)}
    user_of = dict(zip(users, keys, strict=True))
    strange = [each for each, key in user_of.items() if isinstance(key, str) and key not in wanted]
    if strange:
        console.warning(
            f"{place}: {len(strange):,} of {len(user_of):,} listeners are not known, such as "
            f"{', '.join(map(repr, strange[:NAMED]))}"
        )
    _indices(model, list(dict.fromkeys(items)), place, console)  # tells those it doesn't know
    of_user: dict[Key, list[int]] = {}
    index = model.split.train.items.index_of(items)
    for key, item in zip(keys, index.tolist(), strict=True):
        if item >= 0:
            of_user.setdefault(key, []).append(item)
    return Excluded(nothing, of_user, known)


def _keys(known: IdMap, ids: Sequence[object]) -> list[Key]:
    index = known.index_of(ids).tolist()
    return [at if at >= 0 else str(each) for each, at in zip(ids, index, strict=True)]


def check_some_left(
    asked: Sequence[Asked], candidates: np.ndarray, items_file: Path | None, exclude_file: Path
) -> None:
    """Checks that what is excluded leaves somebody a song.

    Raises:
      UserError: it leaves nobody any.
    """
    if any(_some_left(each, candidates) for each in asked):
        return
    given = f"--exclude_file={exclude_file}"
    if items_file is not None:
        given = f"--items_file={items_file} with {given}"
    raise UserError(
        f"{given}: no song is left to list for anybody; expected one that may be listed, and "
        "that the listener doesn't know already where --seen=exclude"
    )


def _some_left(asked: Asked, candidates: np.ndarray) -> bool:
    rows = np.repeat(np.arange(len(asked)), np.diff(asked.hidden.offsets))
    count = np.bincount(rows[candidates[asked.hidden.items]], minlength=len(asked))
    return bool((count > 0 if asked.hidden.only else count < candidates.sum()).any())


def _indices(model: Recommender, ids: Sequence[str], place: str, console: Console) -> np.ndarray:
    index = model.split.train.items.index_of(ids)
    missing = [each for each, found in zip(ids, index, strict=True) if found < 0]
    if missing:
        console.warning(
            f"{place}: {len(missing):,} of {len(ids):,} songs are not in the training listens, "
            f"such as {', '.join(map(repr, missing[:NAMED]))}"
        )
    return index[index >= 0]
