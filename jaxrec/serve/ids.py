"""External ids and names, as Arrow keeps them: no Python object for each of millions."""

import bisect
import functools
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxrec.data.ids import IdMap
from jaxrec.data.names import PARTED_BY, numbered, part_name

Id = int | str


class Ids:
    """External ids by index, increasing: numbers by value, text by code point.

    Args:
      ids: [size] of int64 or string.
    """

    def __init__(self, ids: pa.Array) -> None:
        self.array = ids
        self._numbers = ids.to_numpy() if pa.types.is_integer(ids.type) else None

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Id:
        found: Id = self.array[int(index)].as_py()
        return found

    def take(self, index: np.ndarray) -> list[Id]:
        """The ids at some places."""
        found: list[Id] = self.array.take(pa.array(index)).to_pylist()
        return found

    def index_of(self, wanted: Sequence[object]) -> np.ndarray:
        """The ids' places, -1 where there is none: [n] int32. Numbers may come as text.

        As `IdMap.index_of`, by which the ids of numbers are looked up.
        """
        if self._numbers is not None:
            return IdMap(self._numbers).index_of(wanted)
        return np.array([self._place(str(each)) for each in wanted], np.int32)

    def _place(self, wanted: str) -> int:
        place = bisect.bisect_left(self.array, wanted, key=lambda each: each.as_py())
        return place if place < len(self) and self[place] == wanted else -1


def item_table(ids: IdMap) -> pa.Table:
    """The items of a bundle, with what they are found by.

    Returns:
      Columns `id`, `title` and `artist` (a name's parts; "" where there is none), and as
      `search_key` has them `key`, of the whole name, and `title_key`; where an item has no name
      both are of its id.
    """
    names = [""] * len(ids) if ids.names is None else [str(name) for name in ids.names]
    parts = [part_name(name) for name in names]
    shown = [name or str(each) for name, each in zip(names, ids.ids.tolist(), strict=True)]
    titles = [title or name for (title, _), name in zip(parts, shown, strict=True)]
    return pa.table(
        {
            "id": pa.array(ids.ids),
            "title": pa.array([title for title, _ in parts], pa.string()),
            "artist": pa.array([artist for _, artist in parts], pa.string()),
            "key": pa.array([search_key(name) for name in shown], pa.string()),
            "title_key": pa.array([search_key(title) for title in titles], pa.string()),
        }
    )


def search_key(text: str) -> str:
    """A text without accents, capitals and more than single spaces, by which names are compared."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


class Names:
    """The items' names, searched and matched.

    Args:
      table: of `item_table`.
      users: [num_items] int, how many users each item has.
    """

    def __init__(self, table: pa.Table, users: np.ndarray) -> None:
        table = table.combine_chunks()
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        self._title, self._artist = columns["title"], columns["artist"]
        self._key, self._ids = columns["key"], Ids(columns["id"])
        self._users = users
        # Of several items with one name the one with most users is meant.
        self._most_first = np.argsort(-users, kind="stable")
        order = pa.array(self._most_first)
        self._by_users = {name: columns[name].take(order) for name in ("key", "title_key")}

    @property
    def any_named(self) -> bool:
        """Whether any item has a name."""
        return bool(pc.any(pc.not_equal(self._title, "")).as_py())

    def titles(self, index: np.ndarray) -> list[str]:
        """What some items are called; by the id where one has no name."""
        titles: list[str] = self._title.take(pa.array(index)).to_pylist()
        if all(titles):
            return titles
        ids = self._ids.take(index)
        return [title or str(each) for title, each in zip(titles, ids, strict=True)]

    def artists(self, index: np.ndarray) -> list[str]:
        """Whose some items are; "" where that isn't known."""
        found: list[str] = self._artist.take(pa.array(index)).to_pylist()
        return found

    @property
    def any_artist(self) -> bool:
        """Whether any item's artist is known."""
        return bool(pc.any(pc.not_equal(self._artist, "")).as_py())

    @functools.cached_property
    def artist_numbers(self) -> np.ndarray:
        """As `data.names.artist_numbers`: [num_items] int32."""
        return numbered(self._artist.to_pylist())

    def whole(self, index: np.ndarray) -> pa.Array:
        """The names of some items as the data have them, "" where there is none: [n] string."""
        titles, artists = (each.take(pa.array(index)) for each in (self._title, self._artist))
        joined = pc.binary_join_element_wise(titles, artists, PARTED_BY)
        return pc.if_else(pc.equal(artists, ""), titles, joined)

    def search(self, text: str, *, limit: int, among: np.ndarray) -> np.ndarray:
        """The items whose name has every word: those that begin with the text, then most users.

        Args:
          text: words, or beginnings and ends of some.
          limit: how many items at most.
          among: [num_items] bool, which may be found.

        Returns:
          [<= limit] int.
        """
        wanted = search_key(text)
        found = pa.scalar(bool(wanted))
        for word in wanted.split():
            found = pc.and_(found, pc.match_substring(self._key, word))
        if not isinstance(found, pa.Array):
            return np.zeros(0, np.int64)
        places = np.flatnonzero(found.to_numpy(zero_copy_only=False) & among)
        begins = pc.starts_with(self._key.take(pa.array(places)), wanted)
        others = ~begins.to_numpy(zero_copy_only=False)
        return places[np.lexsort((places, -self._users[places], others))[:limit]]

    def match(self, titles: Sequence[str], artists: Sequence[str]) -> np.ndarray:
        """The items of these names, -1 where there is none: [n] int.

        Args:
          titles: [n].
          artists: [n]; "" for any.
        """
        whole = [
            search_key(f"{title}{PARTED_BY}{artist}" if artist else title)
            for title, artist in zip(titles, artists, strict=True)
        ]
        found = np.full(len(whole), -1)
        for name, rows in (
            ("key", np.arange(len(whole))),
            ("title_key", np.flatnonzero([not artist for artist in artists])),
        ):
            keys = pa.array([whole[row] for row in rows], pa.string())
            place = pc.fill_null(pc.index_in(keys, self._by_users[name]), -1).to_numpy()
            missing = (found[rows] < 0) & (place >= 0)
            found[rows[missing]] = self._most_first[place[missing]]
        return found
