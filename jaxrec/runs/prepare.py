"""From the configuration to a split: the data stage as a command uses it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.config import RunConfig, with_fields
from jaxrec.data import synthetic
from jaxrec.data.exports import SERVICES
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens, together
from jaxrec.data.listens import read_listens
from jaxrec.data.prepared.cutting import Cut
from jaxrec.data.prepared.opened import Prepared
from jaxrec.data.prepared.splitting import split_prepared
from jaxrec.data.read_report import portray
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.data.times import TimeColumn, read_moment, shown_moment
from jaxrec.errors import UserError
from jaxrec.rank.measure import check_found
from jaxrec.rank.newcomers import Newcomers
from jaxrec.report.console import Console
from jaxrec.runs.prepare_folder import prepared_once
from jaxrec.runs.prepared import check_memory, cut_on_disk, prepared_of, rules_of
from jaxrec.runs.say_report import check_several_users, say_report
from jaxrec.runs.sources import filters_of, sources_of


def prepare_split(config: RunConfig, console: Console) -> Split:
    """Reads the listening history, filters and splits it, and says what came of it.

    Raises:
      UserError: it can't be read or split, or a part has nothing to be found by `eval.seen`.
    """
    return _prepare(config, console)[0]


def prepare_cuts(config: RunConfig, console: Console) -> list[Split]:
    """As `prepare_split`, but for `config.tune.cuts` validation parts of one train part.

    Test is the same in all. The first is that of `prepare_split`; the k-th, from 0, is cut with
    the seed `config.seed` + k.

    Raises:
      UserError: as `prepare_split`, or there are to be several cuts where the seed has no say.
    """
    if config.tune.cuts > 1 and config.data.split not in ("random", "given"):
        raise UserError(
            f"config.tune.cuts is {config.tune.cuts} and config.data.split is "
            f"{config.data.split!r}, whose validation part no seed decides; expected 1 cut, or "
            "random or given"
        )
    with_fields(config, {"seed": config.seed + config.tune.cuts - 1})  # refused if too great
    first, history, moment = _prepare(config, console)
    seeds = range(config.seed + 1, config.seed + config.tune.cuts)
    return [first, *(_split(config, history, moment, validation_seed=seed) for seed in seeds)]


def _prepare(config: RunConfig, console: Console) -> tuple[Split, "History | Prepared", int | None]:
    """The split, the history that was split, and the moment where `time` cuts."""
    history: History | Prepared
    prepared = prepared_of(config, console) or prepared_once(config, console)
    if prepared is None:
        history = read_history(config, console)
    elif not cut_on_disk(config):
        history = _in_memory(prepared)
    else:
        history = prepared
    check_several_users(history.users)
    moment = _moment(config, history.times, console)
    result = _split(config, history, moment)
    _say_counts(result, console)
    check_found(result, config.eval.seen)
    Newcomers.of(result, config)  # refused before anything is fitted
    return result, history, moment


@dataclasses.dataclass(frozen=True)
class History:
    """All listens, those of a given test part, and what the column of times holds."""

    listens: Listens
    given_test: Listens | None = None
    times: TimeColumn | None = None

    @property
    def users(self) -> IdMap:
        """The users' ids."""
        return self.listens.users


def prepare_all(config: RunConfig, console: Console) -> Split:
    """Reads the listening history again and leaves all of it in train: nothing is held out.

    What a given test part has is in it, too.
    """
    none = with_fields(config, {"data.split": "none"})
    prepared = prepared_of(none, console) or prepared_once(none, console)
    history = prepared or read_history(config, console)
    if isinstance(history, History) and history.given_test is not None:
        whole = together(history.listens, history.given_test)  # what is given is not filtered
        return split(
            whole, Rules(kind="none", seed=config.seed, against_plays=config.data.against_plays)
        )
    return _split(none, history, None)


def prepare_histories(config: RunConfig, path: Path, console: Console) -> Split:
    """Reads the listens of those who are to be recommended to, all of them in train.

    As `config.data` says, but for what says where the training data lie, what is cut from them and
    until when they count. What is known by name or made up has no form of its own that a person's
    file could have: that is read as your own files are.

    Args:
      config: says how.
      path: a file, folder or glob.
      console: where to say what came of it.

    Raises:
      UserError: it can't be read, or nothing is left of it.
    """
    data: dict[str, Any] = {"data.path": str(path), "data.test_path": None, "data.split": "none"}
    data |= {"data.time_until": None, "data.names_path": None}
    if config.data.source not in ("listens", *SERVICES):
        data["data.source"] = "listens"
    own = with_fields(config, data)
    listens = read_history(own, console).listens
    return split(
        listens,
        Rules(
            kind="none",
            seed=own.seed,
            min_plays=own.data.min_plays,
            against_plays=own.data.against_plays,
        ),
    )


def read_history(config: RunConfig, console: Console) -> History:
    """All listens in memory, those of a given test part, and what the column of times holds.

    Raises:
      UserError: they can't be read, or prepared data have no room in memory.
    """
    prepared = prepared_of(config, console)
    if prepared is not None:
        return _in_memory(prepared)
    if config.data.source == "synthetic":
        return History(synthetic.generate(config.seed))
    return _read(config, console)


def _in_memory(prepared: Prepared) -> History:
    check_memory(prepared)
    return History(prepared.listens(), times=prepared.times)


def _split(
    config: RunConfig,
    history: History | Prepared,
    moment: int | None,
    *,
    validation_seed: int | None = None,
) -> Split:
    rules = rules_of(config, moment, validation_seed)
    if isinstance(history, Prepared):
        return split_prepared(history, Cut(**vars(rules)))
    return split(history.listens, rules, given_test=history.given_test)


def _read(config: RunConfig, console: Console) -> History:
    data = config.data
    histories, names, notes = sources_of(config, console)
    if (len(histories) == 2) != (data.split == "given"):
        raise UserError(
            f"config.data.split is {data.split!r} with {len(histories)} part(s) of data; expected "
            "given for a fixed train/test pair and only for it"
        )
    for note in notes:
        console.note(note)
    parts, report = read_listens(histories, names=names, filters=filters_of(config))
    say_report(report, [portray(part) for part in parts], console)
    return History(parts[0], parts[1] if len(parts) == 2 else None, report.times)


def _moment(config: RunConfig, times: TimeColumn | None, console: Console) -> int | None:
    """Where `time` cuts, read as the times of the history are."""
    moment = config.data.moment
    if moment is None:
        return None
    found = read_moment("config.data.moment", moment, times or TimeColumn())
    if moment != (shown := shown_moment(found)):
        console.note(f"config.data.moment {moment} is taken as {shown} UTC")
    return found


def _say_counts(result: Split, console: Console) -> None:
    counts = result.counts()
    if known := result.protocol["known_pairs"]:
        console.note(
            f"{known:,} pairs of a listener and a song are known but not learnt from; they are "
            "masked in every list, and in an evaluation those from before what is held out"
        )
    for part, pairs in result.protocol.get("again", {}).items():
        if pairs:
            console.note(
                f"{pairs:,} pairs of {part} were known before (heard again); config.eval.seen says "
                "whether they are to be found"
            )
    if tied := result.protocol.get("tied_users"):
        console.warning(
            f"{tied:,} of {counts['train']['users']:,} listeners have equal times where "
            "config.data.last_n cuts, which are no order: what is held out of them is drawn with "
            "config.seed"
        )
    columns = ["users", "items", "interactions", "cold_users", "cold_items", "cold_interactions"]
    console.table(
        f"Data, split: {result.protocol['kind']}",
        ["part", *(name.replace("_", " ") for name in columns)],
        [[part, *(row[name] for name in columns)] for part, row in counts.items()],
    )
    cold = sum(row["cold_interactions"] for row in counts.values())
    if cold:
        of = "users" if result.protocol["kind"] == "yambda" else "users or songs"
        console.note(
            f"{cold:,} held-out interactions are of {of} that train doesn't know (cold); they are "
            "left out of the metrics"
        )
    if (newcomers := result.newcomers) is not None:
        console.note(
            f"{len(newcomers):,} of them are of {len(np.unique(newcomers.user)):,} listeners who "
            "came after the moment, and of songs that train knows; config.eval.cold says whether "
            "these are measured apart"
        )
