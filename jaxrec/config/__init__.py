"""A run's configuration: defaults, types, limits and meanings, typed and checked once at the edge.

`ConfigDict`s come in from config files and the command line; frozen dataclasses with checked values
go out, and the rest of the code takes plain arguments from them.
"""

from jaxrec.config.auto import AutoConfig
from jaxrec.config.config_dicts import add_defaults, default_config, to_config_dict
from jaxrec.config.data import ColumnsConfig, DataConfig
from jaxrec.config.history import HistoryConfig
from jaxrec.config.methods import BaselineConfig, BlendConfig, BlendWeightsConfig, Member, Method
from jaxrec.config.network import LossConfig, ModelConfig, RankingConfig, WalksConfig
from jaxrec.config.reading import (
    describe_field,
    field_value,
    fixed_fields,
    flat_fields,
    read_config,
    to_json,
    with_fields,
)
from jaxrec.config.run import EVERY_PATTERN, MEASURED_BY, EvalConfig, RunConfig

__all__ = [
    "EVERY_PATTERN",
    "MEASURED_BY",
    "AutoConfig",
    "BaselineConfig",
    "BlendConfig",
    "BlendWeightsConfig",
    "ColumnsConfig",
    "DataConfig",
    "EvalConfig",
    "HistoryConfig",
    "LossConfig",
    "Member",
    "Method",
    "ModelConfig",
    "RankingConfig",
    "RunConfig",
    "WalksConfig",
    "add_defaults",
    "default_config",
    "describe_field",
    "field_value",
    "fixed_fields",
    "flat_fields",
    "read_config",
    "to_config_dict",
    "to_json",
    "with_fields",
]
