"""Configurations as `ConfigDict`s, which config files return and the command line changes."""

import dataclasses
import typing
from typing import Any, Literal

from ml_collections.config_dict import ConfigDict, FieldReference

from jaxrec.config.fields import without_none
from jaxrec.config.run import RunConfig


def default_config() -> ConfigDict:
    """Every field with its default, for a config file to change some of.

    Example:
      def get_config():
        config = default_config()
        config.data.source = "listens"
        config.data.path = "listens.csv"
        return config
    """
    return to_config_dict(RunConfig())


def to_config_dict(config: RunConfig) -> ConfigDict:
    """The configuration as a ConfigDict; `read_config` takes what `to_dict()` makes of it back."""
    made: ConfigDict = _group_to_config_dict(config)
    return made


def _group_to_config_dict(group: Any) -> Any:
    made = ConfigDict()
    for name, kind in typing.get_type_hints(type(group)).items():
        value = getattr(group, name)
        if dataclasses.is_dataclass(value):
            made[name] = _group_to_config_dict(value)
        elif without_none(kind) is not kind:  # None tells no type, by which flags are parsed
            inner = without_none(kind)
            is_choice = typing.get_origin(inner) is Literal
            made[name] = FieldReference(value, field_type=str if is_choice else inner)
        else:
            made[name] = value
    return made


def add_defaults(values: ConfigDict) -> None:
    """Gives a ConfigDict the fields that it lacks, with their defaults.

    So a config file may set only what it changes, and the command line any field.
    """
    _add_missing(values, default_config())


def _add_missing(values: ConfigDict, defaults: ConfigDict) -> None:
    with values.unlocked():
        for name in defaults:
            if name not in values:
                values[name] = defaults.get_ref(name)
            elif isinstance(values[name], ConfigDict) and isinstance(defaults[name], ConfigDict):
                _add_missing(values[name], defaults[name])
