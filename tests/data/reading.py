"""Reading files with settings by name, as the configuration has them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrec.data import listens
from jaxrec.data.interactions import Listens
from jaxrec.data.meaning import Columns, Filters, FixedUser, Layout, Names, Source
from jaxrec.data.read_report import ReadReport

_LAYOUT = {field.name for field in dataclasses.fields(Layout)}
_FILTERS = {field.name for field in dataclasses.fields(Filters)}


def read_listens(
    paths: Sequence[str | Path],
    *,
    columns: Columns | None = None,
    user: str | None = None,
    user_from: Any = "column",
    **settings: Any,
) -> tuple[list[Listens], ReadReport]:
    """`listens.read_listens` of one source per path; settings are those of the records' fields."""
    layout = {name: value for name, value in settings.items() if name in _LAYOUT}
    filters = {name: value for name, value in settings.items() if name in _FILTERS}
    own = {
        name.removeprefix("names_"): value
        for name, value in settings.items()
        if name.startswith("names_")
    }
    assert not settings.keys() - layout.keys() - filters.keys() - {f"names_{n}" for n in own}
    names = None
    if "path" in own:
        table = Names(own.pop("path"))
        if "columns" in own:
            table = dataclasses.replace(table, columns=own.pop("columns"))
        names = dataclasses.replace(table, layout=Layout(**own))
    fixed = FixedUser(user, user_from)
    return listens.read_listens(
        [[Source(path, columns, fixed, Layout(**layout))] for path in paths],
        names=names,
        filters=Filters(**filters),
    )


def read_one(path: str | Path, **settings: Any) -> Listens:
    """The one history of a path, columns `user` and `item` unless given."""
    (found,), _ = read_listens([path], **{"columns": Columns("user", "item"), **settings})
    return found
