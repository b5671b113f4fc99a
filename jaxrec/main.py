"""Learn from a listening history and recommend songs.

Commands, each with an example:

  train      learn, evaluate, save; goes on where the run in --workdir stopped
             python -m jaxrec.main train --config=configs/default.py --config.epochs=20
  evaluate   measure a trained run on all users
             python -m jaxrec.main evaluate --workdir=models
             with --final: train the choice on train + validation with several seeds, measure once
             python -m jaxrec.main evaluate --final --workdir=study --seeds=5
  tune       choose settings on the validation part; goes on where the search in --workdir stopped
             python -m jaxrec.main tune --config=configs/lastfm.py --workdir=study
  compare    show runs side by side, and whether they differ from the first by more than chance
             python -m jaxrec.main compare --runs=study-ease,study
  recommend  write the top songs of every listener, or of some
             python -m jaxrec.main recommend --workdir=models --k=10 --output=top10.parquet
  similar    show the songs nearest to a song
             python -m jaxrec.main similar --workdir=models --item=song-00042

No command means train. Any field of the config is overridden as --config.FIELD=VALUE, such as
--config.lr=0.001 or --config.data.path=listens.csv. The config named with --config is a Python
script and is run; nothing else that is read is ever executed.
"""

import logging as stdlib_logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from jaxrec.config import RunConfig, add_defaults, describe_field, read_config
from jaxrec.errors import RunError, UserError, printable
from jaxrec.runs.stop import Stopped

FLAGS = flags.FLAGS


class _WithDefaults(flags.ArgumentParser):
    """Adds to what a config file sets the defaults of the rest, before flags change any field."""

    def __init__(self, parser: flags.ArgumentParser) -> None:
        self._parser = parser

    def parse(self, argument: str) -> Any:
        config = self._parser.parse(argument)
        if isinstance(config, ConfigDict):
            add_defaults(config)
        return config

    def flag_type(self) -> str:
        return self._parser.flag_type()


config_flags.DEFINE_config_file(
    "config", None, "The run's configuration, a file such as configs/default.py.", lock_config=True
)
FLAGS["config"].parser = _WithDefaults(FLAGS["config"].parser)
flags.DEFINE_string("workdir", "models", "Folder of the run, or of the search.")
flags.DEFINE_integer("k", 10, "recommend, similar: songs per list.", lower_bound=1)
flags.DEFINE_string(
    "output", None, "recommend: file to write, .parquet or .csv. compare: one, .json or .csv."
)
flags.DEFINE_list("users", None, "recommend: ids of the listeners, by commas; default is all.")
flags.DEFINE_string("users_file", None, "recommend: a file with a listener's id per line.")
flags.DEFINE_bool("include_listened", False, "recommend: also songs they have listened to.")
flags.DEFINE_string("item", None, "similar: id of the song.")
flags.DEFINE_integer(
    "step", None, "evaluate, recommend, similar: step of the checkpoint; 0 is the untrained model."
)
flags.DEFINE_bool("final", False, "evaluate: train the frozen choice and measure it on test.")
flags.DEFINE_integer("seeds", 5, "evaluate --final: how many runs.", lower_bound=1)
flags.DEFINE_list("runs", [], "compare: folders of runs by commas, the reference first.")

_FLAGS_OF = {
    "train": ("config", "workdir"),
    "evaluate": ("config", "workdir", "step", "final", "seeds"),
    "recommend": ("workdir", "k", "output", "users", "users_file", "include_listened", "step"),
    "similar": ("workdir", "item", "k", "step"),
    "tune": ("config", "workdir"),
    "compare": ("runs", "output"),
}
COMMANDS = tuple(_FLAGS_OF)


def run(arguments: Sequence[str]) -> None:
    """Runs the command that the positional arguments name."""
    command, *rest = list(arguments[1:]) or ["train"]
    if command not in COMMANDS or rest:
        raise UserError(
            f"command is {' '.join(arguments[1:])!r}; expected one of {', '.join(COMMANDS)}"
        )
    _check_flags(command)
    config = None if FLAGS.config is None else read_config(FLAGS.config.to_dict())
    name, found = _call(command, config)
    # Imported here, so that --help and mistakes in flags and fields answer at once.
    from jaxrec import commands
    from jaxrec.runs.compilation import keep_compiled

    keep_compiled()
    if name == "tune":
        from jaxrec.commands.tune import tune  # the others needn't wait for Optuna

        tune(**found)
    else:
        getattr(commands, name)(**found)


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
    if command == "evaluate" and FLAGS.final:
        if FLAGS.step is not None:
            raise UserError(f"--step={FLAGS.step} with --final; expected one of them")
    elif command == "evaluate":
        if FLAGS["seeds"].present:
            raise UserError(f"--seeds={FLAGS.seeds} without --final; expected both")
        given = FLAGS["config"]
        for field in config_flags.get_override_values(given) if given.present else ():
            if field not in ("eval.ks", "eval.memory_budget_mb", "quiet"):
                raise UserError(
                    f"--config.{field} with evaluate: a trained run keeps it; expected "
                    "config.eval.ks, config.eval.memory_budget_mb or config.quiet"
                )


def _call(command: str, config: RunConfig | None) -> tuple[str, dict[str, Any]]:
    """The function that a command is, and its arguments from the flags, which are checked."""
    workdir = Path(FLAGS.workdir)
    output = None if FLAGS.output is None else Path(FLAGS.output)
    if command in ("train", "tune"):
        if config is None:
            raise UserError("--config is missing; expected a file such as configs/default.py")
        return command, {"config": config, "workdir": workdir}
    if command == "evaluate" and FLAGS.final:
        return "final", {"workdir": workdir, "config": config, "seeds": FLAGS.seeds}
    if command == "evaluate":
        return command, {"workdir": workdir, "config": config, "step": FLAGS.step}
    if command == "compare":
        folders = [Path(each) for each in FLAGS.runs if each]
        return command, {"folders": folders, "output": output}
    if command == "similar":
        if FLAGS.item is None:
            raise UserError("--item is missing; expected the id of a song")
        return command, {"workdir": workdir, "item": FLAGS.item, "k": FLAGS.k, "step": FLAGS.step}
    return "recommend", {
        "workdir": workdir,
        "k": FLAGS.k,
        "output": output,
        "users": FLAGS.users,
        "users_file": None if FLAGS.users_file is None else Path(FLAGS.users_file),
        "include_listened": FLAGS.include_listened,
        "step": FLAGS.step,
    }


def _parse_flags() -> list[str]:
    """Parses `sys.argv` (config_flags reads it too) and returns the positional arguments."""
    for place, argument in enumerate(sys.argv[1:-1], start=1):
        if argument in ("--config", "-config"):  # its value may follow as a word of its own
            sys.argv[place : place + 2] = [f"--config={sys.argv[place + 1]}"]
            break
    given = [argument for argument in sys.argv if _name(argument) == "config"]
    for argument in given[:-1]:  # the last one counts, as with any flag
        sys.argv.remove(argument)
    if given and not Path(given[-1].partition("=")[2]).is_file():
        raise UserError(f"{given[-1]}: no such file; expected one such as configs/default.py")
    for name in [_name(argument) for argument in sys.argv[1:]]:
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
            raise UserError(what or _one_line(error)) from error
        name, value = wrong.groups()
        raise UserError(f"{name} is {value!r}; expected {describe_field(name)}") from error
    except flags.Error as error:
        raise UserError(_one_line(error)) from error
    except Exception as error:  # whatever the user's config script does wrong
        raise UserError(_mistake_in_config(error, given[-1])) from error
    if given and not isinstance(FLAGS.config, ConfigDict):
        raise UserError(
            f"{given[-1]}: get_config() returns {FLAGS.config!r}; expected a ConfigDict"
        )
    return positional


def _mistake_in_config(error: BaseException, given: str) -> str:
    """What a config script does wrong, and in which of its lines; `given` is `--config=FILE`."""
    while error.__context__ is not None:  # config_flags wraps what the script has raised
        error = error.__context__
    file = Path(given.partition("=")[2]).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file]
    place = f"{given}:{lines[-1]}" if lines else given
    return f"{place}: {type(error).__name__}: {_one_line(error)}; expected a config file"


def _name(argument: str) -> str:
    return argument.partition("=")[0].lstrip("-") if argument.startswith("-") else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _show_unless_known(unraisable: "sys.UnraisableHookArgs") -> None:
    # TensorStore has one for each write that fails beside the one whose error is raised.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def main() -> int:
    """Parses flags, runs the command, and turns its end into an exit status."""
    os.umask(os.umask(0o077) | 0o002)  # nothing of a run is for everyone to write
    logging.set_verbosity(logging.FATAL)  # Orbax logs every save, and errors that it also raises
    # Nor what asyncio logs: of several failed writes one is raised, the others are left behind.
    stdlib_logging.getLogger("asyncio").setLevel(stdlib_logging.CRITICAL)
    sys.unraisablehook = _show_unless_known
    try:
        if any(_name(argument) in ("help", "h", "helpfull") for argument in sys.argv):
            print(f"{__doc__}\nFlags:\n{FLAGS.module_help(sys.modules[__name__])}", flush=True)
        else:
            run(_parse_flags())
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"failed: {printable(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # no space left, a folder removed under the run, a broken disk
        place = f"{error.filename}: " if error.filename else ""
        print(f"failed: {place}{error.strerror or _one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
