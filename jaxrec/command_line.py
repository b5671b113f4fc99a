"""The command line: which flags each command heeds, parsed and checked."""

import re
import sys
import traceback
from pathlib import Path
from typing import Any, get_args

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxrec.config import add_defaults, default_config, describe_field
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.hosts.place import check_flags

FLAGS = flags.FLAGS

_DEFAULT = "default"


class _WithDefaults(flags.ArgumentParser):
    """Adds to what a config file sets the defaults of the rest, before flags change any field.

    The word `default` stands for a file that sets nothing.
    """

    def __init__(self, parser: flags.ArgumentParser) -> None:
        self._parser = parser

    def parse(self, argument: str) -> Any:
        if argument == _DEFAULT:
            return default_config().lock()
        config = self._parser.parse(argument)
        if isinstance(config, ConfigDict):
            add_defaults(config)
        return config

    def flag_type(self) -> str:
        return self._parser.flag_type()


config_flags.DEFINE_config_file(
    "config", None, "The run's configuration, a file such as my_listens.py.", lock_config=True
)
FLAGS["config"].parser = _WithDefaults(FLAGS["config"].parser)
flags.DEFINE_string("workdir", "models", "Folder of the run, or of the search.")
flags.DEFINE_integer(
    "k", 10, "recommend, similar: songs per list. explain: songs shown.", lower_bound=1
)
flags.DEFINE_string(
    "output",
    None,
    "recommend, score, similar: file to write, .parquet or .csv. compare: one, .json or .csv. "
    "export, prepare: the folder.",
)
flags.DEFINE_list(
    "users",
    None,
    "recommend, explain, similar: ids of listeners, by commas; default of recommend is all.",
)
flags.DEFINE_string("users_file", None, "recommend: a file with a listener's id per line.")
flags.DEFINE_integer(
    "sample",
    None,
    "recommend: how many listeners to draw by the run's seed, to see what everybody's would take.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "seen",
    "exclude",
    get_args(SeenRule),
    "recommend: songs they have listened to: leave out, list too, or list nothing else.",
)
flags.DEFINE_string(
    "histories",
    None,
    "recommend, explain: listens of after training (a file, folder or glob), whose listeners are "
    "meant; read as --config says, without it as the run's were.",
)
flags.DEFINE_bool(
    "join",
    False,
    "recommend --histories: have the songs know of the new listens first: they are put into the "
    "network's graph, nothing of it is trained, and other methods are fitted to them, too.",
)
flags.DEFINE_enum(
    "cold",
    "leave_out",
    ["leave_out", "popular"],
    "recommend: listeners of whom nothing is known are left out, or get the most popular songs.",
)
flags.DEFINE_string(
    "items_file",
    None,
    "recommend: a file with the ids of the songs that may be listed, one per line. similar: with "
    "--output, of those whose like are wanted; default is all.",
)
flags.DEFINE_string(
    "exclude_file",
    None,
    "recommend: songs that may not be listed, an id per line; or a .csv or .parquet file of user "
    "and item, for each listener alone.",
)
flags.DEFINE_integer(
    "per_artist",
    None,
    "recommend: songs of one artist in a list, at the most; by names such as title — artist.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "because",
    0,
    "recommend: how many songs of the listener's history to name as reasons, in a column because.",
    lower_bound=0,
)
flags.DEFINE_string("pairs", None, "score: a .csv or .parquet file with the columns user and item.")
flags.DEFINE_string("item", None, "similar, explain: id of the song.")
flags.DEFINE_integer(
    "step",
    None,
    "evaluate, recommend, explain, score, similar, export: step of the checkpoint; 0 is the "
    "untrained model.",
)
flags.DEFINE_string(
    "init_from",
    None,
    "train: folder of a run whose embeddings the network begins with, by ids; new listeners and "
    "songs begin near those that they go with.",
)
flags.DEFINE_bool("final", False, "evaluate: train the frozen choice and measure it on test.")
flags.DEFINE_integer("seeds", 5, "evaluate --final: how many runs.", lower_bound=1)
flags.DEFINE_list("runs", [], "compare: folders of runs by commas, the reference first.")
flags.DEFINE_string(
    "bundle", None, "serve: the bundle's folder; default is the bundle of the run in --workdir."
)
flags.DEFINE_string("host", "127.0.0.1", "serve: the address to listen at.")
flags.DEFINE_integer(
    "port", 8000, "serve: the port; 0 is any that is free.", lower_bound=0, upper_bound=65535
)
flags.DEFINE_string("api_key_file", None, "serve: a file with the keys that may ask, one per line.")
flags.DEFINE_string(
    "processes",
    None,
    "train, evaluate, recommend: how many processes run this very command together; auto is what "
    "SLURM, Open MPI, Kubernetes or Cloud TPU say.",
)
flags.DEFINE_integer(
    "process", None, "Which of them this one is, from 0; --processes=auto knows.", lower_bound=0
)
flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT, the machine of process 0 and a port that is free there, as the one below it; "
    "--processes=auto knows.",
)

_TOGETHER = ("processes", "process", "coordinator")
_FLAGS_OF = {
    "prepare": ("config", "output"),
    "train": ("config", "workdir", "init_from", *_TOGETHER),
    "evaluate": ("config", "workdir", "step", "final", "seeds", *_TOGETHER),
    "recommend": (
        *("workdir", "k", "output", "users", "users_file", "sample", "histories", "config"),
        *(
            "join",
            "cold",
            "seen",
            "items_file",
            "exclude_file",
            "per_artist",
            "because",
            "step",
            *_TOGETHER,
        ),
    ),
    "explain": ("workdir", "users", "histories", "config", "item", "k", "step"),
    "score": ("workdir", "pairs", "output", "step"),
    "similar": ("workdir", "item", "users", "items_file", "output", "k", "step"),
    "tune": ("config", "workdir"),
    "compare": ("runs", "output"),
    "export": ("workdir", "output", "step"),
    "serve": ("bundle", "workdir", "host", "port", "api_key_file"),
}
COMMANDS = tuple(_FLAGS_OF)
# Fields that may differ from a trained run's own when it is measured.
_OF_EVALUATE = ("eval.ks", "eval.seen", "eval.most_users", "eval.memory_budget_mb", "quiet")


def parse() -> str:
    """Parses the command line into `FLAGS` and returns the command, `train` where there is none.

    Raises:
      UserError: no such command, a flag that it doesn't heed, a mistake in a flag or config file.
    """
    positional = _positional()
    command, *rest = positional or ["train"]
    if command not in COMMANDS or rest:
        raise UserError(
            f"command is {' '.join(positional)!r}; expected one of {', '.join(COMMANDS)}"
        )
    _check_flags(command)
    return command


def _check_flags(command: str) -> None:
    """Refuses flags that the command would not heed, and so not do what they ask for."""
    own = _FLAGS_OF[command]
    for flag in sorted({flag for flags_of in _FLAGS_OF.values() for flag in flags_of}):
        if FLAGS[flag].present and flag not in own:
            takers = [name for name, flags_of in _FLAGS_OF.items() if flag in flags_of]
            raise UserError(
                f"--{flag} is for {', '.join(takers)}; expected flags of {command}: "
                f"{', '.join(f'--{name}' for name in own)}"
            )
    check_flags(FLAGS.processes, FLAGS.process, FLAGS.coordinator)
    if command == "serve" and FLAGS["bundle"].present and FLAGS["workdir"].present:
        raise UserError(
            f"--bundle={FLAGS.bundle} with --workdir={FLAGS.workdir}; expected one of them"
        )
    if command in ("recommend", "explain") and FLAGS["config"].present:
        _check_reading(command)
    if command == "evaluate" and FLAGS.final:
        if FLAGS.step is not None:
            raise UserError(f"--step={FLAGS.step} with --final; expected one of them")
        if FLAGS.processes is not None:
            raise UserError(
                f"--processes={FLAGS.processes} with --final, whose runs are a process each; "
                "expected one of them"
            )
    elif command == "evaluate":
        if FLAGS["seeds"].present:
            raise UserError(f"--seeds={FLAGS.seeds} without --final; expected both")
        given = FLAGS["config"]
        for field in config_flags.get_override_values(given) if given.present else ():
            if field not in _OF_EVALUATE:
                *others, last = (f"config.{name}" for name in _OF_EVALUATE)
                raise UserError(
                    f"--config.{field} with evaluate: a trained run keeps it; expected "
                    f"{', '.join(others)} or {last}"
                )


def _check_reading(command: str) -> None:
    """Refuses a config that says more than how --histories is read."""
    if FLAGS.histories is None:
        raise UserError(
            f"--config with {command}: it says how --histories is read; expected both, as a "
            "trained run keeps its own"
        )
    for field in config_flags.get_override_values(FLAGS["config"]):
        if not field.startswith("data."):
            raise UserError(
                f"--config.{field} with {command}: expected fields below config.data alone, which "
                "say how --histories is read"
            )


def _positional() -> list[str]:
    """Parses `sys.argv` (config_flags reads it too) and returns the positional arguments."""
    for place, argument in enumerate(sys.argv[1:-1], start=1):
        if argument in ("--config", "-config"):  # its value may follow as a word of its own
            sys.argv[place : place + 2] = [f"--config={sys.argv[place + 1]}"]
            break
    given = [argument for argument in sys.argv if name_of(argument) == "config"]
    for argument in given[:-1]:  # the last one counts, as with any flag
        sys.argv.remove(argument)
    if given and given[-1].partition("=")[2] != _DEFAULT and not _config_file(given[-1]).is_file():
        raise UserError(f"{given[-1]}: no such file; expected one such as my_listens.py")
    if not given and not {*sys.argv} & {*COMMANDS} - {"train", "tune"}:
        sys.argv.insert(1, f"--config={_DEFAULT}")
        given = sys.argv[1:2]
    for name in [name_of(argument) for argument in sys.argv[1:]]:
        if name.startswith("config."):
            if not given:
                raise UserError(f"--{name} needs a config; expected --config=FILE before it")
            describe_field(name)
    try:
        positional = list(FLAGS(sys.argv))
    except flags.IllegalFlagValueError as error:
        wrong = re.match(r"flag --(config\.[\w.]+)=(.*?): ", str(error), re.DOTALL)
        if wrong is None:
            what = _mistake_in_config(error, given[-1]) if "--config=" in str(error) else None
            raise UserError(what or one_line(error)) from error
        name, value = wrong.groups()
        raise UserError(f"{name} is {value!r}; expected {describe_field(name)}") from error
    except flags.Error as error:
        raise UserError(one_line(error)) from error
    except Exception as error:  # whatever the user's config script does wrong
        raise UserError(_mistake_in_config(error, given[-1])) from error
    if given and not isinstance(FLAGS.config, ConfigDict):
        raise UserError(
            f"{given[-1]}: get_config() returns {FLAGS.config!r}; expected a ConfigDict"
        )
    return positional[1:]


def _mistake_in_config(error: BaseException, given: str) -> str:
    """What a config script does wrong, and in which of its lines; `given` is `--config=FILE`."""
    while error.__context__ is not None:  # config_flags wraps what the script has raised
        error = error.__context__
    file = _config_file(given)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file.resolve()]
    place = f"--config={file}:{lines[-1]}" if lines else given
    expected = "a config file"
    if isinstance(error, TypeError) and "get_config()" in str(error):
        expected = "--config=FILE:ARGUMENT where get_config takes an argument, else --config=FILE"
    return f"{place}: {type(error).__name__}: {one_line(error)}; expected {expected}"


def _config_file(given: str) -> Path:
    """The file that `--config=FILE` or `--config=FILE:ARGUMENT` names."""
    return Path(given.partition("=")[2].partition(":")[0])


def name_of(argument: str) -> str:
    """The flag that a word of the command line names; empty where it names none."""
    return argument.partition("=")[0].lstrip("-") if argument.startswith("-") else ""


def one_line(error: BaseException) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def given_fields() -> frozenset[str]:
    """The fields of the config that the command line sets, as below `config.`."""
    given = FLAGS["config"]
    return frozenset(config_flags.get_override_values(given)) if given.present else frozenset()
