"""The listens read so far: bad rows refused, unwanted ones set apart, then numbered."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from jaxrec.data.conditions import JOINED, Condition, to_sql
from jaxrec.data.finish_listens import TimeCounts, cut_window, match_items, read_times
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens
from jaxrec.data.listen_checks import BAD_ROWS, check_listens, is_empty, is_known, reason
from jaxrec.data.listen_store import ListenStore
from jaxrec.data.meaning import Filters
from jaxrec.data.number_listens import histories, item_names, number_ids
from jaxrec.data.read_report import ReadReport
from jaxrec.data.rows import Rows
from jaxrec.data.times import COMPACT_FIRST, COMPACT_LAST, TimeColumn
from jaxrec.errors import UserError

EXAMPLES = 10
ROLES = ("user", "item", "timestamp", "plays", "ms_played", "rating", "item_name", "artist")
# What becomes of a row that is neither kept nor bad, as the report counts it.
_FATES = ("zero_plays", "no_item", "defects", "filtered", "against", "too_short", "low_rating")


class ListenTable:
    """Collects rows, then gives `Listens` whose ids are numbered over all of them.

    To be used in a `with` statement: `add_listens` and `add_names` as often as there are files,
    then `finish`, then `parts`.

    Attributes:
      report: what became of the rows so far.
      times: what their times look like.
      text_ids: by role, whether ids are text by their type, whatever they look like.
    """

    def __init__(
        self,
        filters: Filters,
        *,
        by_name: bool = False,
        first_row: int = 0,
        spill_to: Path | None = None,
        memory_mb: int | None = None,
    ) -> None:
        """Opens an empty table.

        Args:
          filters: which rows are learnt from; its conditions come with the rows.
          by_name: whether rows without an item's id are those of the same artist and title.
          first_row: the number of the first row that comes.
          spill_to: as of `Store`.
          memory_mb: likewise.
        """
        self.report = ReadReport(unmatched=0 if by_name else None)
        self._filters = filters
        self.text_ids = {"user": False, "item": False}
        self._num_rows = first_row
        self.times = TimeCounts()
        self._store = ListenStore(by_name=by_name, spill_to=spill_to, memory_mb=memory_mb)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.__exit__()

    def add_listens(
        self,
        entry: int,
        batches: Iterable[Rows],
        conditions: dict[str, list[Condition]] | None = None,
        *,
        learnt: bool = True,
    ) -> None:
        """Checks and adds the rows of one file.

        Args:
          entry: the number of the history they belong to.
          batches: rows with columns `user`, `item` and any of the others.
          conditions: by setting, of which the rows have the columns.
          learnt: whether they are learnt from, where they meet the conditions.

        Raises:
          UserError: a bad row, unless bad rows are skipped.
        """
        conditions = conditions or {}
        tests = {name: to_sql(name, conditions.get(name, [])) for name in JOINED}
        kept = f"({tests['keep']} AND NOT {tests['drop']} AND {tests['learnt_if']} AND {learnt})"
        least = self._filters.min_rating
        by_name = self._store.by_name
        for rows in batches:
            self._register(rows)
            no_item = tests["no_item"]
            if rows.null_is_no_item and not by_name:
                no_item = f"({no_item} OR item IS NULL)"
            checks = check_listens(
                rows.columns,
                kept=kept,
                against=tests["against"],
                no_item=no_item,
                defect=tests["defects"],
                form=self._filters.time_format,
                matched=by_name,
            )
            values: dict[str, float] = {"min_ms_played": self._filters.min_ms_played}
            if "rating" in rows.columns:
                values["min_rating"] = -math.inf if least is None else least
            self._store.query(f"CREATE OR REPLACE TEMP TABLE checked AS {checks}", values)
            counts = self._count(rows, timed="timestamp" in rows.columns)
            self._refuse(rows, BAD_ROWS, counts.get("bad", 0))
            self._insert("listens", entry, "fate = 'kept'")
            if counts.keys() - {"kept"}:
                self._insert("known", entry, is_known(rows.columns))
                self._insert("against", entry, "fate = 'against'")
            if rows.columns.keys() & {"item_name", "artist"}:
                item = f"CASE WHEN {is_empty('item')} THEN title_key ELSE item END"
                self._insert_names(
                    "checked WHERE fate = 'kept'", 0, item=item if by_name else "item"
                )

    def _insert(self, table: str, entry: int, condition: str) -> None:
        title_key = ", title_key" if self._store.by_name else ""
        self._store.query(
            f'INSERT INTO {table} SELECT ?, row, "user", item, play_count, seconds{title_key} '
            f"FROM checked WHERE {condition}",
            [entry],
        )

    def _count(self, rows: Rows, *, timed: bool) -> dict[str, int]:
        """Counts the checked rows by fate, for the report; and what their times look like."""
        of_times = (
            "count(seconds), count(seconds) FILTER (time_in_words), count(*) FILTER "
            f"(time_of_8 AND seconds BETWEEN {COMPACT_FIRST} AND {COMPACT_LAST})"
        )
        columns = of_times if timed else "0, 0, 0"
        found = self._store.query(f"SELECT fate, count(*), {columns} FROM checked GROUP BY fate")
        for _, _, times, words, compact in found:
            self.times.all += times
            self.times.words += words
            self.times.compact += compact
        counts = {fate: count for fate, count, *_ in found}
        self.report = dataclasses.replace(
            self.report,
            rows=self.report.rows + len(rows.line) + len(rows.problems),
            **{name: getattr(self.report, name) + counts.get(name, 0) for name in _FATES},
        )
        for role in self.text_ids:
            self.text_ids[role] |= role in rows.roles_in_text
        return counts

    def add_names(self, batches: Iterable[Rows]) -> None:
        """Checks and adds names from a file of its own: they go before those of the listens.

        Args:
          batches: rows with columns `item` and `item_name`.

        Raises:
          UserError: a row without an id, unless bad rows are skipped.
        """
        for rows in batches:
            self._register(rows)
            no_id = f"FROM incoming WHERE {is_empty('item')}"
            bad = self._store.number(f"SELECT count(*) {no_id}")
            self._refuse(rows, f"SELECT line, 'item', item {no_id}", bad)
            self._insert_names(f"incoming WHERE NOT {is_empty('item')}", -(2**62))

    def note(self, *notes: str) -> None:
        """Adds to the report what was found out about a file."""
        new = [note for note in notes if note and note not in self.report.notes]
        self.report = dataclasses.replace(self.report, notes=(*self.report.notes, *new))

    def _register(self, rows: Rows) -> None:
        """Makes rows known as `incoming`, numbered on from those before."""
        nothing = pa.nulls(len(rows.line), pa.string())
        columns = {role: rows.columns.get(role, nothing) for role in ROLES} | dict(rows.columns)
        columns["line"] = pa.array(rows.line)
        columns["row"] = pa.array(np.arange(self._num_rows, self._num_rows + len(rows.line)))
        self._num_rows += len(rows.line)
        self._store.register("incoming", columns)

    def _insert_names(self, source: str, offset: int, *, item: str = "item") -> None:
        name = "concat_ws(' — ', nullif(item_name, ''), nullif(artist, ''))"
        self._store.query(
            f"INSERT INTO names SELECT {item} AS item_id, arg_min({name}, row), min(row) + ?, "
            "min(nullif(artist, '')), max(nullif(artist, '')) "
            f"FROM {source} AND {name} <> '' GROUP BY item_id",
            [offset],
        )

    def _refuse(self, rows: Rows, query: str, count: int) -> None:
        """Counts bad rows, or raises the first: those the reader gave and the query's."""
        found = self._store.query(f"{query} ORDER BY line LIMIT {EXAMPLES}") if count else []
        checked = [(line, reason(role, value)) for line, role, value in found]
        examples = [
            f"{rows.place(line)}: {reason}"
            for line, reason in sorted([*rows.problems[:EXAMPLES], *checked])
        ]
        if examples and self._filters.on_bad_rows != "skip":
            raise UserError(examples[0])
        self.report = dataclasses.replace(
            self.report,
            skipped=self.report.skipped + len(rows.problems) + count,
            examples=(*self.report.examples, *examples)[:EXAMPLES],
        )

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """What it holds so far of `listens`, `known` or `names`, as it was read."""
        return self._store.batches(f"SELECT * FROM {table}")

    def num_kept(self, entry: int) -> int:
        """How many listens the history `entry` has."""
        return self._store.number(f"SELECT count(*) FROM listens WHERE entry = {int(entry)}")

    def finish(self) -> None:
        """What can be done when all rows are known: items matched, times read, the window cut.

        Raises:
          UserError: a moment can't be read, or the window is empty.
        """
        report = self.report
        if self._store.by_name:
            report = dataclasses.replace(report, unmatched=match_items(self._store))
        if self.times.all:
            times = read_times(self._store, self.times, self._filters.time_format)
            report = dataclasses.replace(report, times=times)
        column = report.times or TimeColumn()
        before, after, notes = cut_window(self._store, self._filters, column)
        self.report = dataclasses.replace(report, before_window=before, after_window=after)
        if column.compact:
            self.note("all times are dates such as 20150601, and are taken as such")
        self.note(*notes)

    def parts(self, num_entries: int, *, with_times: bool, with_names: bool) -> list[Listens]:
        """The histories, their ids numbered over all of them.

        Args:
          num_entries: how many histories there are.
          with_times: whether they have timestamps.
          with_names: whether items have names.
        """
        users = number_ids(self._store, "user", in_text=self.text_ids["user"])
        items = number_ids(self._store, "item", in_text=self.text_ids["item"])
        names = None
        if with_names:
            names, several = item_names(self._store)
            self.report = dataclasses.replace(self.report, several_artists=several)
        return histories(
            self._store,
            num_entries,
            IdMap(users),
            IdMap(items, names),
            with_times=with_times,
            adds_up=self._filters.min_rating is None,
        )
