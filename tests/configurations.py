"""Configurations for tests, and what their runs have logged."""

import json
from pathlib import Path
from typing import Any

from configs import default
from jaxrec.config import RunConfig, read_config


def config_with(**changes: Any) -> RunConfig:
    """The default configuration with `group__field=value` changes, quiet."""
    values = default.get_config().to_dict()
    for path, value in ({"quiet": True} | changes).items():
        *groups, name = path.split("__")
        target = values
        for group in groups:
            target = target[group]
        target[name] = value
    return read_config(values)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a `metrics.jsonl`, oldest first; a kill may cut the last one short."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]
