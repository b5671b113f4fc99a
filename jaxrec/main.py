"""Learn from a listening history and recommend songs.

Commands, each with an example:

  prepare    turn a history larger than memory into arrays on disk, once; goes on where it stopped
             jaxrec prepare --config=my_listens.py --output=prepared
             jaxrec train --config=my_listens.py --config.data.path=prepared
  train      learn, evaluate, save; goes on where the run in --workdir stopped
             jaxrec train --config=my_listens.py --config.epochs=20
             with --init_from: begin with what yesterday's run has learnt, on today's listens
             jaxrec train --config=my_listens.py --workdir=today --init_from=yesterday
  evaluate   measure a trained run on all listeners
             jaxrec evaluate --workdir=models
             with --final: train the choice on train + validation with several seeds, measure once
             jaxrec evaluate --final --workdir=study --seeds=5
  tune       choose settings on the validation part; goes on where the search in --workdir stopped
             jaxrec tune --config=my_listens.py --workdir=study
  compare    show runs side by side, and whether they differ from the first by more than chance
             jaxrec compare --runs=study-ease,study
  recommend  write the top songs of every listener, of some, or of those who came since
             jaxrec recommend --workdir=models --k=10 --output=top10.parquet
             jaxrec recommend --workdir=models --histories=today.csv --output=today-top.csv
  explain    show what each song of a listener's history brings to a song's score
             jaxrec explain --workdir=models --users=listener-0001 --item=song-00042
  score      write the scores of given pairs of a listener and a song
             jaxrec score --workdir=models --pairs=pairs.csv --output=scores.csv
  similar    show the songs nearest to a song, or write those of all songs; or listeners like one
             jaxrec similar --workdir=models --item=song-00042
  export     write a run's model as a bundle, to deploy where there is no JAX
             jaxrec export --workdir=models --output=bundle
  serve      answer requests by a bundle, over HTTP, with a page to try it; exports it where needed
             jaxrec serve --bundle=bundle --port=8000

`python -m jaxrec.main` is the same as `jaxrec`, and no command means train. Without --config, train
and tune take the defaults (--config=default). Any field is set as --config.FIELD=VALUE, such as
--config.lr=0.001 or --config.data.path=listens.csv; `python -m jaxrec.config` prints them all with
their meanings. A config file is a Python script with a function get_config() and is run;
--config=FILE:ARGUMENT calls get_config(ARGUMENT). Nothing else that is read is ever executed.
"""

import importlib.util
import logging as stdlib_logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import logging

from jaxrec import command_line, flags, host_memory
from jaxrec.command_line import given_fields, name_of, one_line
from jaxrec.config import MEASURED_BY, RunConfig, fixed_fields, read_config
from jaxrec.errors import RunError, UserError, printable
from jaxrec.flags import FLAGS
from jaxrec.hosts.guard import guarded
from jaxrec.hosts.watch import Patience
from jaxrec.hosts.wire import Wire
from jaxrec.runs.stop import Stopped


def run(command: str, config: RunConfig | None) -> None:
    """Runs a command with what `FLAGS` say."""
    name, found = _call(command, config)
    if name == "serve":  # without JAX
        _check_serves()
        from jaxrec.serve.service import serve

        if found["bundle"] is None:
            found["bundle"] = _exported(Path(FLAGS.workdir))
        serve(**found)
        return
    # Imported here, so that --help and mistakes in flags and fields answer at once.
    from jaxrec import commands
    from jaxrec.runs.compilation import keep_compiled

    keep_compiled()
    if name == "tune":
        from jaxrec.commands.tune import tune  # the others needn't wait for Optuna

        tune(**found)
    else:
        getattr(commands, name)(**found)


def _call(command: str, config: RunConfig | None) -> tuple[str, dict[str, Any]]:
    """The function that a command is, and its arguments from the flags, which are checked."""
    workdir = Path(FLAGS.workdir)
    output = None if FLAGS.output is None else Path(FLAGS.output)
    if command in ("train", "tune"):
        if config is None:  # --workdir=evaluate as two words looks like another command
            raise UserError("--config is missing; expected --config=FILE or --config=default")
        found: dict[str, Any] = {"config": config, "workdir": workdir}
        if command == "train":
            found |= {"given": given_fields(), "init_from": _path(FLAGS.init_from)}
        return command, found
    if command == "prepare":
        if config is None or output is None:
            missing = "--config" if config is None else "--output"
            raise UserError(f"{missing} is missing; expected --config=FILE and --output=FOLDER")
        return command, {"config": config, "output": output}
    if command == "evaluate" and FLAGS.final:
        return "final", {"workdir": workdir, "config": config, "seeds": FLAGS.seeds}
    if command == "evaluate":
        found = {"workdir": workdir, "config": config, "step": FLAGS.step}
        if config is not None:
            found["given"] = (given_fields() | fixed_fields(config)) & {*MEASURED_BY}
        return command, found
    if command == "compare":
        folders = [Path(each) for each in FLAGS.runs if each]
        return command, {"folders": folders, "output": output}
    if command in ("explain", "score", "similar"):
        return command, _about_songs(command, config)
    if command == "export":
        return command, {"workdir": workdir, "output": output, "step": FLAGS.step}
    if command == "serve":
        keys = None if FLAGS.api_key_file is None else Path(FLAGS.api_key_file)
        bundle = None if FLAGS.bundle is None else Path(FLAGS.bundle)
        return command, {
            "bundle": bundle,
            "host": FLAGS.host,
            "port": FLAGS.port,
            "api_key_file": keys,
            "say": lambda line: print(line, file=sys.stderr, flush=True),
        }
    return command, _about_lists(config) | {"workdir": workdir, "output": output}


def _about_lists(config: RunConfig | None) -> dict[str, Any]:
    """The arguments of `recommend`."""
    from jaxrec.commands import Lists, Whose

    whose = Whose(
        users=FLAGS.users,
        sample=FLAGS.sample,
        users_file=_path(FLAGS.users_file),
        histories=_path(FLAGS.histories),
        config=config,
        join=FLAGS.join,
        cold=FLAGS.cold,
    )
    lists = Lists(
        k=FLAGS.k,
        seen=FLAGS.seen,
        items_file=_path(FLAGS.items_file),
        exclude_file=_path(FLAGS.exclude_file),
        per_artist=FLAGS.per_artist,
        because=FLAGS.because,
    )
    return {"whose": whose, "lists": lists, "step": FLAGS.step}


def _about_songs(command: str, config: RunConfig | None) -> dict[str, Any]:
    """The arguments of `explain`, `score` and `similar`."""
    found = {"workdir": Path(FLAGS.workdir), "step": FLAGS.step}
    if command == "score":
        if FLAGS.pairs is None:
            raise UserError("--pairs is missing; expected a file with the columns user and item")
        return found | {"pairs": Path(FLAGS.pairs), "output": _path(FLAGS.output)}
    found |= {"item": FLAGS.item, "k": FLAGS.k}
    if command == "similar":
        found |= {"items_file": _path(FLAGS.items_file), "output": _path(FLAGS.output)}
        return found | {"users": FLAGS.users}
    if FLAGS.item is None:
        raise UserError("--item is missing; expected the id of a song")
    if FLAGS.users is not None and len(FLAGS.users) != 1:
        raise UserError(f"--users={','.join(FLAGS.users)}: expected the id of one listener")
    user = None if FLAGS.users is None else FLAGS.users[0]
    return found | {"user": user, "histories": _path(FLAGS.histories), "config": config}


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)


def _check_serves() -> None:
    """Raises UserError where the packages of the extra `serve` aren't installed."""
    wanted = ("fastapi", "fastapi_offline", "prometheus_client", "uvicorn")
    missing = [each for each in wanted if importlib.util.find_spec(each) is None]
    if missing:
        raise UserError(
            f"serve needs {', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not "
            "installed; expected what pip install 'jaxrec[serve]' or requirements-serve.txt brings"
        )


def _exported(workdir: Path) -> Path:
    """The bundle in a run's folder, exported anew unless it is of what the folder holds now.

    By a process of its own, so that the service is none with JAX in its memory.
    """
    from jaxrec.runs.run_folder import RunFolder
    from jaxrec.runs.source import source_of
    from jaxrec.serve.bundle import read_bundle

    bundle = RunFolder(workdir).bundle
    try:
        if read_bundle(bundle).about.get("source") == source_of(workdir):
            return bundle
    except UserError:  # there is none yet, or a damaged one
        pass
    if importlib.util.find_spec("jax") is None:
        raise UserError(
            f"--workdir={workdir}: to export a run takes JAX, which isn't installed; expected "
            "--bundle=FOLDER with what `export` has written elsewhere"
        )
    export = [sys.executable, "-m", "jaxrec.main", "export", f"--workdir={workdir}"]
    ended = subprocess.run(export, check=False)
    if ended.returncode:
        sys.exit(ended.returncode)  # it has said why
    return bundle


def _show_unless_known(unraisable: "sys.UnraisableHookArgs") -> None:
    # TensorStore has one for each write that fails beside the one whose error is raised.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _start() -> int:
    """Runs the command, in a process of a run of many where the flags say so."""
    if any(name_of(argument) in ("help", "h", "helpfull") for argument in sys.argv):
        print(f"{__doc__}\nFlags:\n{FLAGS.module_help(flags)}", flush=True)
        return 0
    command = command_line.parse()
    config = None if FLAGS.config is None else read_config(FLAGS.config.to_dict())
    if FLAGS.processes is None:
        run(command, config)
        return 0
    settings = (config or RunConfig()).processes
    patience = Patience(settings.silence_seconds, settings.start_seconds)

    def work(link: Wire) -> int:
        return _status_of(lambda: _run_among_others(command, config, link, patience))

    return guarded(work, patience)


def _run_among_others(
    command: str, config: RunConfig | None, link: Wire, patience: Patience
) -> int:
    """Runs the command as one of several processes."""
    from jaxrec.hosts.joining import join  # with JAX

    join(link, FLAGS.processes, FLAGS.process, FLAGS.coordinator, patience)
    run(command, config)
    return 0


def main() -> int:
    """Parses flags, runs the command, and turns its end into an exit status."""
    os.umask(os.umask(0o077) | 0o002)  # nothing of a run is for everyone to write
    host_memory.keep_freed()
    logging.set_verbosity(logging.FATAL)  # Orbax logs every save, and errors that it also raises
    # Nor what asyncio logs: of several failed writes one is raised, the others are left behind.
    stdlib_logging.getLogger("asyncio").setLevel(stdlib_logging.CRITICAL)
    sys.unraisablehook = _show_unless_known
    return _status_of(_start)


def _status_of(work: Callable[[], int]) -> int:
    """The exit status of some work, or of the error that ends it, which is said in a line."""
    try:
        return work()
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
        print(f"failed: {place}{error.strerror or one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.status


if __name__ == "__main__":
    sys.exit(main())
