"""What a configuration says is read: the sources of a history, the names, and which rows count."""

import dataclasses

from jaxrec.config import DataConfig, RunConfig
from jaxrec.data import catalog
from jaxrec.data.datasets import DATASETS
from jaxrec.data.exports import SERVICES, find_sources
from jaxrec.data.meaning import Columns, Filters, FixedUser, Layout, Names, Source
from jaxrec.errors import UserError
from jaxrec.report.console import Console


def filters_of(config: RunConfig) -> Filters:
    """Which rows are learnt from."""
    data = config.data
    on_bad_rows = data.on_bad_rows
    if data.source in DATASETS and DATASETS[data.source].ragged:
        on_bad_rows = "skip"  # what the publisher has broken; counted and shown
    return Filters(
        on_bad_rows=on_bad_rows,
        keep=data.keep,
        drop=data.drop,
        against=data.against,
        time_from=data.time_from,
        time_until=data.time_until,
        time_format=data.time_format,
        min_ms_played=data.min_ms_played,
        min_rating=data.min_rating,
        identical_rows=data.identical_rows,
    )


def sources_of(
    config: RunConfig, console: Console
) -> tuple[list[list[Source]], Names | None, list[str]]:
    """The sources of each history, the table of names, and notes.

    Raises:
      UserError: what the configuration names isn't there, or it says too little or too much.
    """
    data = config.data
    if data.source != "listens":
        _refuse_own_layout(config)
    if data.source not in ("listens", *SERVICES):
        located = catalog.locate(
            data.source, data_path=data.path, say=console.note, progress=console.progress
        )
        told = located.dataset
        return (
            located.histories,
            located.names,
            [f"reading {told.title} ({told.homepage}); license: {told.license}"],
        )
    if data.path is None:
        what = "your file, folder or glob of listens"
        if data.source in SERVICES:
            what = SERVICES[data.source].expected
        raise UserError(f"config.data.path is not set; expected {what}")
    user = FixedUser(data.user, data.user_from)
    names = None
    if data.names_path is not None:
        names = Names(
            data.names_path,
            data.names_columns,
            Layout(
                format=data.names_format,
                header=data.names_header,
                delimiter=data.names_delimiter,
                quoted=data.names_quoted,
                escape=data.names_escape,
                encoding=data.names_encoding,
            ),
        )
    if data.source in SERVICES:
        sources, notes = find_sources(data.source, data.path, user)
        return [sources], names, [f"reading {data.path}", *notes]
    layout = Layout(
        format=data.format,
        header=data.header,
        delimiter=data.delimiter,
        quoted=data.quoted,
        escape=data.escape,
        encoding=data.encoding,
    )
    columns = Columns(**dataclasses.asdict(data.columns))
    paths = [path for path in (data.path, data.test_path) if path is not None]
    histories = [[Source(path, columns, user, layout)] for path in paths]
    return histories, names, [f"reading {', '.join(paths)}"]


def _refuse_own_layout(config: RunConfig) -> None:
    """A source known by name knows its columns: fields that say otherwise would do nothing."""
    usual = DataConfig()
    for name in ("columns", "format", "header", "delimiter", "quoted", "escape", "encoding"):
        if getattr(config.data, name) != getattr(usual, name):
            raise UserError(
                f"config.data.{name} is set and config.data.source is {config.data.source!r}, "
                "whose form is known; expected config.data.source=listens with it"
            )
