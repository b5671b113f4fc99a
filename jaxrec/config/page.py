"""The page docs/config.md, made from the fields themselves."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from jaxrec.config.fields import expectation, fields_of, without_none
from jaxrec.config.run import RunConfig

_HEAD = """# Configuration

Made by `python -m jaxrec.config > docs/config.md`; don't edit it.

A run is what these fields say. A field is set in a config file, a Python file that is named with
`--config` and that needs to set only what it changes:

```python
from jaxrec.config import default_config


def get_config():
    config = default_config()
    config.data.source = "listens"
    config.data.path = "listens.csv"
    return config
```

or on the command line, which comes last: `--config=my_listens.py --config.lr=0.001`, a list as
`--config.eval.ks="(5, 10)"`. Without `--config`, `train` and `tune` take the defaults. Where
`get_config` takes an argument, `--config=FILE:ARGUMENT` gives it one. A value out of its limits
ends the command before anything is written.
"""


def page() -> str:
    """All fields with defaults, limits and meanings, as Markdown."""
    return "\n".join([_HEAD, *_sections(RunConfig(), "config")])


def _sections(group: Any, place: str) -> Iterator[str]:
    kinds, fields = typing.get_type_hints(type(group)), fields_of(type(group))
    inner = [name for name in fields if dataclasses.is_dataclass(kinds[name])]
    yield f"## {place}\n{inspect.getdoc(type(group))}\n"
    rows = [
        f"| `{name}` | {_code(getattr(group, name))} | {_values(kinds[name], field)} "
        f"| {_cell(field.metadata['meaning'])} |"
        for name, field in fields.items()
        if name not in inner
    ]
    if rows:
        yield "\n".join(["| field | default | values | meaning |", "|---|---|---|---|", *rows, ""])
    for name in inner:
        yield from _sections(getattr(group, name), f"{place}.{name}")


def _values(kind: Any, field: dataclasses.Field[Any]) -> str:
    words = expectation(kind, field.metadata)
    return _cell(words if kind is without_none(kind) else f"{words}, or None")


def _code(value: Any) -> str:
    return _cell(f"`{value!r}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
