"""The declared space of a search: each text of `config.tune.space` becomes a range of a field."""

import contextlib
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from jaxrec.config import RunConfig, field_value, with_fields
from jaxrec.errors import UserError
from jaxrec.runs.methods import method_of

# Of what is measured and how, not of what is chosen.
NOT_SEARCHED = (
    *("method", "data", "eval", "checkpoint", "processes", "mesh", "tune", "auto", "seed"),
    *("quiet", "profile"),
)
# How plays become weights is the method's.
_FREE = (
    *("data.weight", "history.weight", "history.half_life_days"),
    "history.learnt_half_life_days",
)


def parse_space(config: RunConfig) -> dict[str, BaseDistribution]:
    """The ranges that `config.tune.space` declares, by field as below `config.`.

    Raises:
      UserError: a text says no range, its field can't be chosen, or can't have such a value.
    """
    space: dict[str, BaseDistribution] = {}
    for text in config.tune.space:
        try:
            field, distribution = _parse(config, text)
            if field in space:
                raise UserError(f"{field} is there before; expected it once")
        except UserError as error:
            raise UserError(f"config.tune.space has {text!r}: {error}") from error
        space[field] = distribution
    return space


def _parse(config: RunConfig, text: str) -> tuple[str, BaseDistribution]:
    match text.split():
        case [field, "in", first, *others]:
            _check_free(config, field)
            choices = [_read_value(config, field, each) for each in (first, *others)]
            if len(set(choices)) < len(choices):
                raise UserError(f"a value is there twice; expected {len(choices)} different ones")
            return field, CategoricalDistribution(choices)
        case [field, "log" | "float" | "int" as kind, *bounds] if len(bounds) == 2:
            _check_free(config, field)
            return field, _range(kind, [_read_value(config, field, each) for each in bounds])
    raise UserError(
        'expected "FIELD log LOW HIGH", "FIELD float LOW HIGH", "FIELD int LOW HIGH" or '
        '"FIELD in A B C"'
    )


def _check_free(config: RunConfig, field: str) -> None:
    """Refuses what isn't the method's: other fields, and those that would change nothing."""
    field_value(config, field)
    if field in _FREE:
        return
    if field.split(".")[0] in NOT_SEARCHED:
        raise UserError(
            f"config.{field} says what is learnt from, how it is measured or where it is kept; "
            "expected a field of the method itself"
        )
    method = method_of(config)
    if not method.owns(field, config):
        fields = method.identity(config) | method.ranking(config)
        own = [each for each in fields if each.split(".")[0] not in NOT_SEARCHED]
        own = [each for each in own if method.owns(each, config)]
        raise UserError(
            f"config.{field} changes nothing where config.method is {config.method}; expected "
            f"{'one that does, such as ' + own[0] if own else 'no space: it has no settings'}"
        )


def _range(kind: str, bounds: Sequence[Any]) -> BaseDistribution:
    low, high = bounds
    if any(isinstance(bound, bool) or not isinstance(bound, int | float) for bound in bounds):
        raise UserError(f'{low} and {high} are no numbers; expected "FIELD in {low} {high}"')
    if not low < high:
        raise UserError(f"LOW is {low} and HIGH is {high}; expected LOW below HIGH")
    if kind == "log" and low <= 0:
        raise UserError(f"LOW is {low}; expected a number above 0 for log")
    whole = all(isinstance(bound, int) for bound in bounds)  # as the field has them, so is it
    if kind == "float" and whole:
        raise UserError("the field is a whole number; expected int or log")
    if kind == "int":
        if not all(float(bound).is_integer() for bound in bounds):
            raise UserError(f"LOW is {low} and HIGH is {high}; expected whole numbers for int")
        return IntDistribution(int(low), int(high))
    return (IntDistribution if whole else FloatDistribution)(low, high, log=kind == "log")


def _read_value(config: RunConfig, field: str, text: str) -> Any:
    """A value as the field has it: the first reading of the text that the field takes."""
    readings: list[Any] = [text == "True"] if text in ("True", "False") else []
    for read in (int, float):
        with contextlib.suppress(ValueError):
            readings.append(read(text))
    errors = []
    for reading in (*readings, text):
        try:
            return field_value(with_fields(config, {field: reading}), field)
        except UserError as error:
            errors.append(error)
    raise errors[0]
