"""A run's configuration, typed and checked once at the edge.

`ConfigDict`s come in from the command line; frozen dataclasses with checked values go out, and
the rest of the code takes plain arguments from them. What each field means, and its default, is
said in `configs/default.py`; the types and limits are here.
"""

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from jaxrec.data.options import Format, OnBadRows, SplitKind, ValidationRule, Weight
from jaxrec.errors import UserError
from jaxrec.train.cadence import parse_every

METRIC_PATTERN = r"(recall|precision|ndcg|hit_rate|mrr|map)@[1-9][0-9]*"


def _number(
    *, minimum: float | None = None, above: float | None = None, below: float | None = None
) -> Any:
    return dataclasses.field(metadata={"minimum": minimum, "above": above, "below": below})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Names of the columns of a listening history; None where there is no such column."""

    user: str
    item: str
    timestamp: str | None
    plays: str | None
    ms_played: str | None
    item_name: str | None
    artist: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the listening history comes from and how it is filtered and split."""

    source: str
    path: str | None
    test_path: str | None
    format: Format
    delimiter: str | None
    header: bool
    columns: ColumnsConfig
    names_path: str | None
    names_columns: tuple[str, str]
    on_bad_rows: OnBadRows
    time_from: str | None
    time_until: str | None
    min_ms_played: int = _number(minimum=0)
    weight: Weight
    min_plays: float = _number(minimum=0)
    core: int = _number(minimum=0)
    split: SplitKind
    test_fraction: float = _number(above=0, below=1)
    last_n: int = _number(minimum=1)
    moment: str | None
    validation_fraction: float = _number(minimum=0, below=1)
    validation_rule: ValidationRule
    validation_last_n: int = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network's shape."""

    layers: int = _number(minimum=0)
    dim: int = _number(minimum=1)
    init_stddev: float = _number(above=0)
    receiver_exponent: float
    sender_exponent: float
    unit_layers: bool
    layer_zero: float | None = _number(minimum=0)
    kernel: Literal["auto", "segment_sum", "csr", "prefetch"]
    dtype: Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WalksConfig:
    """What is added to the network's scores when ranking."""

    weight: float = _number(minimum=0)
    exponent: float
    longer: float = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss and what it compares with."""

    name: Literal["bpr", "softmax"]
    negatives: int = _number(minimum=1)
    sampler: Literal["uniform", "popularity"]
    popularity_alpha: float
    l2: float = _number(minimum=0)
    temperature: float = _number(above=0)
    negative_weight: float = _number(above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What is measured, on whom, and what follows from it."""

    ks: tuple[int, ...] = _number(minimum=1)
    every_epochs: int = _number(minimum=1)
    users: int = _number(minimum=1)
    memory_budget_mb: int = _number(minimum=1)
    metric: str
    patience: int = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When the run is saved, what is kept, and how long stopping may take."""

    every: str
    keep: int = _number(minimum=1)
    grace_seconds: float = _number(above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemKNNConfig:
    """Cosine similarities between items."""

    neighbours: int = _number(minimum=1)
    shrink: float = _number(minimum=0)
    normalize: bool
    centre: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class RP3BetaConfig:
    """Random walks of three steps."""

    neighbours: int = _number(minimum=1)
    alpha: float = _number(minimum=0)
    beta: float = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EASEConfig:
    """Item weights in closed form."""

    l2: float = _number(above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IALSConfig:
    """Matrix factorisation by alternating least squares."""

    dim: int = _number(minimum=1)
    iterations: int = _number(minimum=1)
    unobserved_weight: float = _number(above=0)
    l2: float = _number(above=0)
    l2_exponent: float = _number(minimum=0)
    init_stddev: float = _number(above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GFCFConfig:
    """Graph filters without training."""

    singular_vectors: int = _number(minimum=1)
    low_pass_weight: float = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Each baseline's parameters, by method; most_popular has none."""

    itemknn: ItemKNNConfig
    rp3beta: RP3BetaConfig
    ease: EASEConfig
    ials: IALSConfig
    gfcf: GFCFConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """Among what `tune` chooses, and how long it searches."""

    space: tuple[str, ...]
    trials: int = _number(minimum=1)
    cuts: int = _number(minimum=1)
    prune_from: float = _number(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on."""

    method: Literal["gcn", "most_popular", "itemknn", "rp3beta", "ease", "ials", "gfcf"]
    epochs: int = _number(minimum=1)
    lr: float = _number(above=0)
    lr_schedule: Literal["constant", "cosine"]
    warmup_epochs: float = _number(minimum=0)
    batch_size: int = _number(minimum=1)
    seed: int = _number(minimum=0, below=2**32)
    quiet: bool
    profile: bool
    data: DataConfig
    model: ModelConfig
    walks: WalksConfig
    loss: LossConfig
    baseline: BaselineConfig
    eval: EvalConfig
    checkpoint: CheckpointConfig
    tune: TuneConfig


def read_config(values: Mapping[str, Any]) -> RunConfig:
    """Checks a nested mapping (such as a ConfigDict) and makes it a `RunConfig`.

    Raises:
      UserError: a field is missing, unknown, of the wrong type or out of its limits; the message
        names the field, the value and what is allowed.
    """
    config: RunConfig = _read_group(RunConfig, values, "config")
    if not re.fullmatch(METRIC_PATTERN, config.eval.metric):
        raise UserError(
            f"config.eval.metric is {config.eval.metric!r}; expected {METRIC_PATTERN}, "
            "such as recall@10"
        )
    try:
        parse_every(config.checkpoint.every)
    except ValueError as error:
        raise UserError(
            f"config.checkpoint.every is {config.checkpoint.every!r}; expected a number of epochs, "
            "steps or minutes, such as '1 epoch', '500 steps' or '10 minutes'"
        ) from error
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


def describe_field(path: str) -> str:
    """What a field such as `config.model.dim` may hold, for error messages.

    Raises:
      UserError: there is no such field.
    """
    kind: Any = RunConfig
    place, *names = path.split(".")
    limits: Mapping[str, Any] = {}
    for name in names:
        fields = _fields(kind)
        if name not in fields:
            raise _unknown_field(place, name, fields)
        limits = fields[name].metadata
        kind = typing.get_type_hints(kind)[name]
        place = f"{place}.{name}"
    if dataclasses.is_dataclass(kind):
        return "one of its fields: " + ", ".join(_fields(kind))
    if typing.get_origin(kind) is tuple:
        return _list_expectation(kind)
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    return _expectation(kind, limits)


def _fields(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    return (
        {field.name: field for field in dataclasses.fields(kind)}
        if dataclasses.is_dataclass(kind)
        else {}
    )


def _unknown_field(place: str, name: str, fields: Mapping[str, Any]) -> UserError:
    close = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
    hint = f"did you mean {place}.{close[0]}?" if close else f"expected {', '.join(fields)}"
    return UserError(f"{place}.{name} is not a field; {hint if fields else 'expected a value'}")


def _expectation(kind: Any, limits: Mapping[str, Any]) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    wanted = [
        f"{words} {limits[limit]}"
        for limit, words in (("minimum", "of at least"), ("above", "above"), ("below", "below"))
        if limits.get(limit) is not None
    ]
    return f"{_SCALARS[kind]} {' and '.join(wanted)}".rstrip()


_SCALARS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def _read_group(kind: type, values: object, place: str) -> Any:
    if not isinstance(values, Mapping):
        raise UserError(f"{place} is {values!r}; expected a group of fields")
    fields = _fields(kind)
    for name in values:
        if name not in fields:
            raise _unknown_field(place, str(name), fields)
    missing = [name for name in fields if name not in values]
    if missing:
        raise UserError(
            f"{place}.{missing[0]} is missing; expected every field of configs/default.py"
        )
    types_by_name = typing.get_type_hints(kind)
    return kind(
        **{
            name: _read_value(types_by_name[name], values[name], f"{place}.{name}", field.metadata)
            for name, field in fields.items()
        }
    )


def _read_value(kind: Any, value: object, place: str, limits: Mapping[str, Any]) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_group(typing.cast(type, kind), value, place)
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is tuple:
        inner, *rest = typing.get_args(kind)
        count = 1 + len(rest) if Ellipsis not in rest else None  # tuple[int, ...] is of any length
        if not isinstance(value, list | tuple) or not value or count not in (None, len(value)):
            raise UserError(f"{place} is {value!r}; expected {_list_expectation(kind)}")
        return tuple(_read_value(inner, each, place, limits) for each in value)
    if not _fits(kind, value, limits):
        raise UserError(f"{place} is {value!r}; expected {_expectation(kind, limits)}")
    return value if typing.get_origin(kind) is Literal else kind(value)


def _list_expectation(kind: Any) -> str:
    if str not in typing.get_args(kind):
        return "a list such as (10, 20)"
    if Ellipsis in typing.get_args(kind):
        return 'a list of texts such as ("lr log 0.001 0.1",)'
    return 'two texts such as ("id", "name")'


def _fits(kind: Any, value: Any, limits: Mapping[str, Any]) -> bool:
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if kind in (bool, str):
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | (int if kind is int else float)):
        return False
    minimum, above, below = (limits.get(name) for name in ("minimum", "above", "below"))
    return (
        math.isfinite(value)
        and (minimum is None or value >= minimum)
        and (above is None or value > above)
        and (below is None or value < below)
    )
