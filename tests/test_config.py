"""A configuration is checked once: every bad field is named with its value and what is allowed."""

import dataclasses
import importlib
from typing import Any

import pytest
from ml_collections import ConfigDict

from configs import default
from jaxrec.config import (
    RunConfig,
    add_defaults,
    default_config,
    describe_field,
    flat_fields,
    read_config,
    to_config_dict,
    to_json,
    with_fields,
)
from jaxrec.config.page import page
from jaxrec.errors import UserError
from tests.nursery import ROOT

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


def values(**changes: Any) -> dict[str, Any]:
    """The default values with `group__field=value` changes."""
    config: dict[str, Any] = default.get_config().to_dict()
    for path, value in changes.items():
        *groups, name = path.split("__")
        target = config
        for group in groups:
            target = target[group]
        target[name] = value
    return config


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_valid_and_survives_json(name: str) -> None:
    config = read_config(importlib.import_module(f"configs.{name}").get_config().to_dict())
    assert isinstance(config, RunConfig)
    assert read_config(to_json(config)) == config


def test_both_configs_of_lastfm_have_the_settings_that_were_chosen_for_one_of_them() -> None:
    # A config file works from any folder, by itself, and so can't take them from the other.
    first, second = (
        flat_fields(importlib.import_module(f"configs.{name}").get_config().to_dict())
        for name in ("lastfm", "lastfm_lightgcn")
    )
    differing = {name for name, value in first.items() if value != second[name]}
    assert differing == {
        *("data.source", "data.split", "data.core", "epochs"),
        *("eval.ks", "eval.metric", "eval.every_epochs"),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_says_its_command(name: str) -> None:
    module = importlib.import_module(f"configs.{name}")
    assert "Command: python -m jaxrec.main --config=" in (module.__doc__ or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "config.epochs is 0; expected a whole number of at least 1"),
        ({"epochs": 1.5}, "config.epochs is 1.5; expected a whole number of at least 1"),
        ({"epochs": True}, "config.epochs is True; expected a whole number of at least 1"),
        ({"lr": 0.0}, "config.lr is 0.0; expected a number above 0"),
        ({"lr": float("nan")}, "config.lr is nan; expected a number above 0"),
        ({"lr": "fast"}, "config.lr is 'fast'; expected a number above 0"),
        ({"seed": 2**32}, "config.seed is 4294967296; expected a whole number of at least 0 and"),
        ({"quiet": 1}, "config.quiet is 1; expected True or False"),
        ({"data__split": "half"}, "config.data.split is 'half'; expected one of none, random,"),
        ({"data__path": 3}, "config.data.path is 3; expected text"),
        ({"data__columns": None}, "config.data.columns is None; expected a group of fields"),
        ({"data__columns__user": None}, "config.data.columns.user is None; expected text"),
        ({"eval__ks": ()}, r"config.eval.ks is \(\); expected a list such as \(10, 20\)"),
        ({"eval__ks": (10, 0)}, "config.eval.ks is 0; expected a whole number of at least 1"),
        ({"eval__metric": "recall"}, "config.eval.metric is 'recall'; expected .* recall@10"),
        ({"model__dmi": 3}, "config.model.dmi is not a field; did you mean config.model.dim?"),
        (
            {"checkpoint__every": "0 steps"},
            "config.checkpoint.every is '0 steps'; expected a number",
        ),
        ({"checkpoint__every": "1 mile"}, "config.checkpoint.every is '1 mile'; .* '10 minutes'"),
        ({"checkpoint__every": 1}, "config.checkpoint.every is 1; expected a number of e"),
        ({"checkpoint__grace_seconds": 0}, "config.checkpoint.grace_seconds is 0; expected a numb"),
        (
            {"blend__models": ("ease", "svd")},
            "config.blend.models is 'svd'; expected one of gcn, most_popular,",
        ),
        ({"blend__models": ()}, r"config.blend.models is \(\); expected a list such as \('gcn'"),
        ({"blend__models": ("ease", "ease")}, "config.blend.models is .*; expected each method o"),
        ({"blend__weights__ease": -1.0}, "config.blend.weights.ease is -1.0; expected a number of"),
        ({"zebra": 3}, "config.zebra is not a field; expected method, epochs,"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        read_config(values(**change))


def test_the_default_of_each_field_is_within_its_limits() -> None:
    assert read_config(to_json(RunConfig())) == RunConfig()
    assert read_config(default.get_config().to_dict()) == RunConfig()


def test_a_missing_field_or_group_has_its_default() -> None:
    config = values(epochs=3)
    del config["model"]["dim"], config["blend"]
    assert read_config(config) == RunConfig(epochs=3)
    assert read_config({}) == RunConfig()


def test_a_configuration_survives_being_a_config_dict() -> None:
    changes = {
        "data.path": "listens.csv",
        "model.layer_zero": 0.5,
        "blend.models": ("ease", "walks"),
    }
    config = with_fields(RunConfig(), changes)
    assert read_config(to_config_dict(config).to_dict()) == config


def test_a_config_dict_keeps_what_it_has_and_gets_the_rest() -> None:
    config = ConfigDict({"epochs": 3, "data": {"columns": {"user": "listener"}}}).lock()
    add_defaults(config)
    expected = default_config()
    expected.epochs, expected.data.columns.user = 3, "listener"
    assert config.is_locked
    assert config.to_dict() == expected.to_dict()
    config.data.path = "listens.csv"  # of a type, though it had no value
    with pytest.raises(TypeError):
        config.data.path = 3


def test_each_field_has_a_meaning_of_a_line() -> None:
    groups: list[Any] = [RunConfig()]
    for group in groups:  # grows on the way
        assert type(group).__doc__
        for field in dataclasses.fields(group):
            value = getattr(group, field.name)
            if dataclasses.is_dataclass(value):
                groups.append(value)
            else:
                assert "\n" not in field.metadata["meaning"] and field.metadata["meaning"]


def test_a_whole_number_serves_as_a_number() -> None:
    assert read_config(values(lr=1)).lr == 1.0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("config.model.dim", "a whole number of at least 1"),
        ("config.data.path", "text"),
        ("config.data.weight", "one of binary, log, raw"),
        ("config.eval.ks", "a list such as (10, 20)"),
        ("config.data.names_columns", 'two texts such as ("id", "name")'),
        ("config.model.layer_zero", "a number of at least 0"),
        ("config.model.kernel", "one of auto, segment_sum, csr, prefetch, pallas"),
    ],
)
def test_fields_describe_themselves(path: str, expected: str) -> None:
    assert describe_field(path) == expected


def test_fields_of_a_plain_value_are_refused() -> None:
    with pytest.raises(UserError, match=r"config\.lr\.x is not a field"):
        describe_field("config.lr.x")


def test_the_page_of_all_fields_is_up_to_date() -> None:
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert text == page(), "expected what `python -m jaxrec.config > docs/config.md` writes"
