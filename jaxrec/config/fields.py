"""What a field of the configuration is: a default, a meaning, a type and limits."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

_SCALARS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def setting(
    default: Any,
    meaning: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    pattern: str | None = None,
    expected: str | None = None,
) -> Any:
    """Declares a field.

    Args:
      default: its value where nothing else is said.
      meaning: what it does, in a line, with its unit.
      minimum: the least value.
      above: what it must be greater than.
      below: what it must be less than.
      pattern: the regular expression that a text must match.
      expected: what matches `pattern`, in words.
    """
    limits = {"minimum": minimum, "above": above, "below": below}
    words = {"meaning": meaning, "pattern": pattern, "expected": expected}
    return dataclasses.field(default=default, metadata=limits | words)


def group(kind: type) -> Any:
    """Declares a field that is a group of fields, a dataclass; its docstring is its meaning."""
    return dataclasses.field(default_factory=kind)


def fields_of(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a group by name; none where it is no group."""
    return (
        {field.name: field for field in dataclasses.fields(kind)}
        if dataclasses.is_dataclass(kind)
        else {}
    )


def without_none(kind: Any) -> Any:
    """The type that a field may hold beside None."""
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)  # of Literals the latter
    return typing.get_args(kind)[0] if is_union else kind


def expectation(kind: Any, limits: Mapping[str, Any]) -> str:
    """What a field of a type and limits may hold, in words for an error message."""
    kind = without_none(kind)
    if typing.get_origin(kind) is tuple:
        return _list_expectation(kind)
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    if limits.get("expected"):
        return str(limits["expected"])
    wanted = [
        f"{words} {limits[limit]}"
        for limit, words in (("minimum", "of at least"), ("above", "above"), ("below", "below"))
        if limits.get(limit) is not None
    ]
    return f"{_SCALARS[kind]} {' and '.join(wanted)}".rstrip()


def _list_expectation(kind: Any) -> str:
    inner, *rest = typing.get_args(kind)
    if typing.get_origin(inner) is Literal:
        choices = typing.get_args(inner)
        return f"a list such as {choices[:2]} of {', '.join(choices)}"
    if inner is not str:
        return "a list such as (10, 20)"
    if Ellipsis in rest:
        return 'a list of texts such as ("lr log 0.001 0.1",)'
    return 'two texts such as ("id", "name")'


def fits(kind: Any, value: Any, limits: Mapping[str, Any]) -> bool:
    """Whether a single value is of a type and within limits."""
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if kind is bool:
        return isinstance(value, bool)
    if kind is str:
        pattern = limits.get("pattern")
        return isinstance(value, str) and (pattern is None or bool(re.fullmatch(pattern, value)))
    if isinstance(value, bool) or not isinstance(value, int | (int if kind is int else float)):
        return False
    minimum, above, below = (limits.get(name) for name in ("minimum", "above", "below"))
    return (
        math.isfinite(value)
        and (minimum is None or value >= minimum)
        and (above is None or value > above)
        and (below is None or value < below)
    )
