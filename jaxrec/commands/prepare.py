"""`prepare`: turn a history larger than memory into arrays on disk, from which runs start."""

from pathlib import Path

from jaxrec.config import RunConfig
from jaxrec.data.prepared.opened import open_prepared
from jaxrec.report.console import Console
from jaxrec.runs.prepare_folder import prepare_folder
from jaxrec.runs.say_report import say_report


def prepare(config: RunConfig, output: Path) -> None:
    """Prepares data in a folder, going on where it was stopped.

    Args:
      config: says which history, and how it is read.
      output: the folder.

    Raises:
      UserError: the history can't be read, there is no room for it, or the folder holds something
        else.
    """
    console = Console(quiet=config.quiet)
    prepare_folder(config, output, console)
    prepared = open_prepared(output)
    say_report(prepared.report, [prepared.portrait], console)
    console.note(f"prepared; start from it with --config.data.path={output}")
