"""`recommend` by its flags' names."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxrec import commands
from jaxrec.commands import Lists, Whose


def recommend(
    run: Path, *, output: Path | None = None, step: int | None = None, **flags: Any
) -> None:
    """Runs the command as with `--name=value` for each of the flags."""
    lists = {field.name for field in dataclasses.fields(Lists)} & flags.keys()
    commands.recommend(
        run,
        output=output,
        step=step,
        lists=Lists(**{name: flags[name] for name in lists}),
        whose=Whose(**{name: flags[name] for name in flags.keys() - lists}),
    )
