"""Configurations for tests."""

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
