"""Prepared data as a configuration names them: recognised, checked against it, and cut."""

from pathlib import Path
from typing import Any

from jaxrec.config import DataConfig, RunConfig, flat_fields, to_json, with_fields
from jaxrec.data.prepared.cutting import KINDS
from jaxrec.data.prepared.layout import is_prepared, read_about
from jaxrec.data.prepared.opened import Prepared, open_prepared
from jaxrec.data.split_rules import Rules
from jaxrec.errors import UserError
from jaxrec.host_memory import free_bytes
from jaxrec.report.console import Console
from jaxrec.runs.say_report import say_report

# Fields of `config.data` that have no part in reading: they may differ when the data are used.
CUTTING = (
    *("weight", "min_plays", "core", "split", "test_fraction", "last_n", "moment"),
    *("validation_fraction", "validation_rule", "validation_last_n", "against_plays"),
)
_WHERE = ("data.path", "data.source")
_BYTES_PER_LISTEN = 170  # of what is read and cut in memory, measured with 50 million listens


def reading_settings(config: RunConfig) -> dict[str, Any]:
    """The fields that say how a history is read, as `data.path`, ready for JSON."""
    fields = flat_fields(to_json(config)["data"], "data.")
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if name.removeprefix("data.") not in CUTTING
    }


def as_prepared(config: RunConfig) -> RunConfig:
    """The configuration with the settings by which the data that it names were prepared.

    For those that it leaves as they usually are, so that what a run keeps says how its data were
    read, and how others like them are to be. Of other data it is the configuration as it is.

    Raises:
      UserError: they are unfinished or damaged.
    """
    if config.data.path is None or not is_prepared(config.data.path):
        return config
    was, now = read_about(config.data.path)["settings"], reading_settings(config)
    usual = reading_settings(RunConfig())
    if config.data.source == "listens":  # as are all that are prepared; `was` knows it closer
        usual["data.source"] = "listens"
    return with_fields(
        config,
        {
            field: tuple(was[field]) if isinstance(was[field], list) else was[field]
            for field, value in now.items()
            if field != "data.path" and field in was and value == usual[field]
        },
    )


def prepared_of(config: RunConfig, console: Console) -> Prepared | None:
    """The prepared data that `config.data.path` names; None where it names anything else.

    Raises:
      UserError: they are unfinished or damaged, or the configuration would read them otherwise than
        they were.
    """
    if not is_prepared(config.data.path):
        return None
    assert config.data.path is not None
    prepared = open_prepared(Path(config.data.path))
    was, now = prepared.about["settings"], reading_settings(config)
    usual = reading_settings(RunConfig())
    was = usual | was  # of fields that came since
    for field, value in now.items():
        if field not in _WHERE and value not in (usual[field], was[field]):
            raise UserError(
                f"config.{field} is {value!r} and the data in {config.data.path} are prepared with "
                f"{was[field]!r}; expected that, or data prepared otherwise"
            )
    if config.data.source not in (DataConfig().source, "listens", was["data.source"]):
        raise UserError(
            f"config.data.source is {config.data.source!r} and the data in {config.data.path} are "
            f"prepared from {was['data.source']!r}; expected that, or listens"
        )
    if config.data.split == "given":
        raise UserError(
            "config.data.split is 'given' and prepared data are one history; expected another kind"
        )
    console.note(f"starting from the prepared data in {config.data.path}")
    say_report(prepared.report, [prepared.portrait], console)
    return prepared


def cut_on_disk(config: RunConfig) -> bool:
    """Whether prepared data can be cut block by block, or only with all of them in memory.

    In blocks nothing is kept of users whom train doesn't know, who may be wanted.
    """
    data = config.data
    alike = data.split == "random" and data.validation_fraction and data.validation_rule == "alike"
    newcomers = data.split == "time" and config.eval.cold == "fold_in"
    return data.split in KINDS and not alike and not newcomers


def rules_of(config: RunConfig, moment: int | None, validation_seed: int | None = None) -> Rules:
    """How the configuration cuts a history.

    Args:
      config: the configuration.
      moment: where `time` cuts.
      validation_seed: of the validation part alone.
    """
    data = config.data
    return Rules(
        kind=data.split,
        seed=config.seed,
        test_fraction=data.test_fraction,
        last_n=data.last_n,
        moment=moment,
        validation_fraction=data.validation_fraction,
        validation_rule=data.validation_rule,
        validation_last_n=data.validation_last_n,
        validation_seed=validation_seed,
        min_plays=data.min_plays,
        core=data.core,
        against_plays=data.against_plays,
    )


def check_memory(prepared: Prepared) -> None:
    """Refuses to hold in memory what has no room there.

    Raises:
      UserError: so many listens need more memory than is free.
    """
    free, needed = free_bytes(), _BYTES_PER_LISTEN * prepared.portrait.listens
    if free is not None and needed > free:
        raise UserError(
            f"the history has {prepared.portrait.listens:,} listens, which need about "
            f"{needed / 2**30:,.1f} GiB of memory where {free / 2**30:,.1f} are free; expected "
            f"config.data.split as one of {', '.join(KINDS)}, with "
            "config.data.validation_rule=random and config.eval.cold=leave_out, which are cut from "
            "the disk"
        )
