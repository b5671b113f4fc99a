"""Configurations in and out: checked, as plain values, with some fields changed."""

import dataclasses
import difflib
import functools
import typing
from collections.abc import Mapping
from typing import Any

from jaxrec.config.fields import expectation, fields_of, fits, without_none
from jaxrec.config.run import RunConfig
from jaxrec.errors import UserError


def read_config(values: Mapping[str, Any]) -> RunConfig:
    """Checks a nested mapping (such as a ConfigDict) and makes it a `RunConfig`.

    Args:
      values: by field; those that are left out keep their defaults.

    Raises:
      UserError: a field is unknown, of the wrong type or out of its limits; the message names the
        field, the value and what is allowed.
    """
    config: RunConfig = _read_group(RunConfig, values, "config")
    models = config.blend.models
    if len(set(models)) < len(models):
        raise UserError(f"config.blend.models is {models}; expected each method once")
    return config


def to_json(config: RunConfig) -> dict[str, Any]:
    """The configuration as nested plain values; `read_config` takes it back."""
    return dataclasses.asdict(config)


def with_fields(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The configuration with other values of some fields, checked as `read_config` does.

    Args:
      config: where the other fields come from.
      values: by field, as below `config.`: `{"loss.l2": 1e-4}`.

    Raises:
      UserError: there is no such field, or it can't have that value.
    """
    changed = to_json(config)
    for field, value in values.items():
        describe_field(f"config.{field}")
        *groups, name = field.split(".")
        target = changed
        for group in groups:
            target = target[group]
        target[name] = value
    return read_config(changed)


def field_value(config: RunConfig, field: str) -> Any:
    """The value of a field such as `loss.l2`.

    Raises:
      UserError: there is no such field.
    """
    describe_field(f"config.{field}")
    return functools.reduce(getattr, field.split("."), config)


def flat_fields(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their fields' whole names, such as `loss.l2`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_fields(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def fixed_fields(config: RunConfig) -> frozenset[str]:
    """The fields that differ from their defaults, as below `config.`: somebody has set them."""
    defaults = flat_fields(to_json(RunConfig()))
    own = flat_fields(to_json(config))
    return frozenset(name for name, value in own.items() if value != defaults[name])


def describe_field(path: str) -> str:
    """What a field such as `config.model.dim` may hold, for error messages.

    Raises:
      UserError: there is no such field.
    """
    kind: Any = RunConfig
    place, *names = path.split(".")
    limits: Mapping[str, Any] = {}
    for name in names:
        fields = fields_of(kind)
        if name not in fields:
            raise _unknown_field(place, name, fields)
        limits = fields[name].metadata
        kind = typing.get_type_hints(kind)[name]
        place = f"{place}.{name}"
    if dataclasses.is_dataclass(kind):
        return "one of its fields: " + ", ".join(fields_of(kind))
    return expectation(kind, limits)


def _unknown_field(place: str, name: str, fields: Mapping[str, Any]) -> UserError:
    close = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
    hint = f"did you mean {place}.{close[0]}?" if close else f"expected {', '.join(fields)}"
    return UserError(f"{place}.{name} is not a field; {hint if fields else 'expected a value'}")


def _read_group(kind: Any, values: object, place: str) -> Any:
    if not isinstance(values, Mapping):
        raise UserError(f"{place} is {values!r}; expected a group of fields")
    fields, types_by_name = fields_of(kind), typing.get_type_hints(kind)
    read = {}
    for name, value in values.items():
        if name not in fields:
            raise _unknown_field(place, str(name), fields)
        limits = fields[name].metadata
        read[name] = _read_value(types_by_name[name], value, f"{place}.{name}", limits)
    return kind(**read)


def _read_value(kind: Any, value: object, place: str, limits: Mapping[str, Any]) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_group(kind, value, place)
    if value is None and kind is not without_none(kind):
        return None
    kind = without_none(kind)
    if typing.get_origin(kind) is tuple:
        inner, *rest = typing.get_args(kind)
        count = 1 + len(rest) if Ellipsis not in rest else None  # tuple[int, ...] is of any length
        if not isinstance(value, list | tuple) or not value or count not in (None, len(value)):
            raise _wrong_value(kind, value, place, limits)
        return tuple(_read_value(inner, each, place, limits) for each in value)
    if not fits(kind, value, limits):
        raise _wrong_value(kind, value, place, limits)
    return kind(value) if isinstance(kind, type) else value  # a choice is as it is


def _wrong_value(kind: Any, value: object, place: str, limits: Mapping[str, Any]) -> UserError:
    return UserError(f"{place} is {value!r}; expected {expectation(kind, limits)}")
