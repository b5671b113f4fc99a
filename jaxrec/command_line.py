"""The command line, parsed and checked: a mistake is told before anything begins."""

import re
import sys
import traceback
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxrec.config import MEASURED_BY, describe_field
from jaxrec.errors import UserError
from jaxrec.flags import COMMANDS, DEFAULT, FLAGS, FLAGS_OF
from jaxrec.hosts.place import check_flags


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
    own = FLAGS_OF[command]
    for flag in sorted({flag for flags_of in FLAGS_OF.values() for flag in flags_of}):
        if FLAGS[flag].present and flag not in own:
            takers = [name for name, flags_of in FLAGS_OF.items() if flag in flags_of]
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
            if field not in MEASURED_BY:
                *others, last = (f"config.{name}" for name in MEASURED_BY)
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
    if given and given[-1].partition("=")[2] != DEFAULT and not _config_file(given[-1]).is_file():
        raise UserError(f"{given[-1]}: no such file; expected one such as my_listens.py")
    if not given and not {*sys.argv} & {*COMMANDS} - {"train", "tune"}:
        sys.argv.insert(1, f"--config={DEFAULT}")
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
