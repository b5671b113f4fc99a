"""A run with one fault planted in it: `python -m tests.child FAULT train --config=...`.

The fault is JSON such as {"point": "arrays written", "visit": 3}: the process is killed when it
comes to that point for the third time. The faults are planted from outside, by replacing
functions, so that jaxrec itself has no hooks for them.
"""

import contextlib
import errno
import functools
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKPOINT = "jaxrec.runs.checkpoint"
WRITING, FOLDER = "jaxrec.runs.checkpoint_writing", "jaxrec.runs.checkpoint_folder"

# Killed before or after a call, by module and name.
CALLS: dict[str, tuple[str, str, str]] = {
    "before a save": ("before", CHECKPOINT, "Checkpoints.save"),
    "temporary folder made": ("before", WRITING, "_write_parts"),
    "arrays written": ("after", WRITING, "_write_parts"),
    "arrays read back": ("before", WRITING, "write_json"),
    "before the manifest": ("before", WRITING, "write_manifest"),
    "after the manifest, before the commit": ("after", WRITING, "write_manifest"),
    "after the commit": ("after", WRITING, "commit"),
    "before pruning": ("before", CHECKPOINT, "remove"),
    "pruning: renamed": ("before", FOLDER, "shutil.rmtree"),
    "after pruning": ("after", CHECKPOINT, "remove"),
    "metrics row written, not saved": ("after", "jaxrec.runs.epochs", "MetricLog.append"),
    "measuring": ("before", "jaxrec.runs.epochs", "Measure.at_epoch"),
    "fitted, not yet measured": ("after", "jaxrec.runs.fit", "_fit"),
    "final evaluation": ("before", "jaxrec.runs.run", "measure_finally"),
    "results.json written": ("after", "jaxrec.runs.run", "write_results"),
    "interactions not yet written": ("before", "jaxrec.runs.record", "_write_interactions"),
    "resuming: before the restore": ("before", CHECKPOINT, "Checkpoints.restore"),
    "resuming: after the restore": ("after", CHECKPOINT, "Checkpoints.restore"),
    "resuming: clearing up": ("before", CHECKPOINT, "remove_leftovers"),
}
# Killed with half of a file written, by the file's name.
HALVES = {
    "manifest half written": "manifest.json",
    "record half written": "record.json",
    "results.json half written": "results.json",
    "config.json half written": "config.json",
    "resuming: metrics.jsonl half written": "metrics.jsonl",
}
OTHERS = ("arrays half written", "pruning: half removed", "metrics row half written")
POINTS = (*CALLS, *HALVES, *OTHERS)
IN_SEARCHES = ("an answer half written",)


def kill() -> None:
    """Ends this process as a machine does that is taken away."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # for the other threads' sake: nothing is done after the kill


class Countdown:
    """Kills at the given visit."""

    def __init__(self, visit: int) -> None:
        self._left = visit
        self._lock = threading.Lock()

    def arrived(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0


def replace(module: str, path: str, wrapper: Callable[[Any], Any]) -> None:
    """Puts `wrapper(function)` where the function of that module was."""
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrapper(original)))


def plant_kill(point: str, visit: int) -> None:
    """Plants a kill at a named point."""
    countdown = Countdown(visit)
    if point in CALLS:
        when, module, path = CALLS[point]

        def around(original: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                now = countdown.arrived()
                if now and when == "before":
                    kill()
                result = original(*args, **kwargs)
                if now:
                    kill()
                return result

            return call

        replace(module, path, around)
    elif point in HALVES:
        _plant_half_file(HALVES[point], countdown)
    elif point == "arrays half written":
        replace(WRITING, "_write_parts", lambda original: _half_arrays(original, countdown))
    elif point == "pruning: half removed":
        replace(FOLDER, "shutil.rmtree", lambda original: _half_rmtree(original, countdown))
    elif point == "an answer half written":
        replace(
            "jaxrec.search.auto.journal",
            "Journal._append",
            lambda original: _half_row(original, countdown),
        )
    elif point == "metrics row half written":
        replace(
            "jaxrec.report.metric_files",
            "MetricLog.append",
            lambda original: _half_row(original, countdown),
        )
    else:
        raise ValueError(f"{point!r} is no point; expected one of {', '.join(POINTS)}")


def _plant_half_file(name: str, countdown: Countdown) -> None:
    def around(original: Any) -> Any:
        def write(path: Path, content: Any, *args: Any, **kwargs: Any) -> Any:
            if path.name.startswith(f"{name}.") and countdown.arrived():
                original(path, content[: len(content) // 2], *args, **kwargs)
                kill()
            return original(path, content, *args, **kwargs)

        return write

    for method in ("write_text", "write_bytes"):
        replace("pathlib", f"Path.{method}", around)


def _half_arrays(original: Any, countdown: Countdown) -> Any:
    def call(path: Path, *args: Any, **kwargs: Any) -> Any:
        if countdown.arrived():
            threading.Thread(target=_kill_at_first_file, args=(path,)).start()
        return original(path, *args, **kwargs)

    return call


def _kill_at_first_file(folder: Path) -> None:
    while True:
        with contextlib.suppress(OSError):  # folders are renamed meanwhile
            if any(path.parent.name == "d" for path in folder.rglob("*")):
                kill()


def _half_rmtree(original: Any, countdown: Countdown) -> Any:
    def call(path: Path, *args: Any, **kwargs: Any) -> None:
        if Path(path).suffix == ".removed" and countdown.arrived():
            files = sorted(each for each in Path(path).rglob("*") if each.is_file())
            for each in files[: len(files) // 2]:
                each.unlink()
            kill()
        original(path, *args, **kwargs)

    return call


def _half_row(original: Any, countdown: Countdown) -> Any:
    def append(log: Any, row: Any) -> None:
        if countdown.arrived():
            line = json.dumps(row)
            with log.path.open("a") as file:
                file.write(line[: len(line) // 2])
            kill()
        original(log, row)

    return append


def plant_nan(step: int) -> None:
    """Plants a NaN in one number of the gradient of one step; the loss stays what it is."""
    import jax
    import jax.numpy as jnp

    from jaxrec.train import step as steps

    def poisoned(original: Any) -> Any:
        def value_and_grad(function: Any) -> Any:
            both = original(function)

            def call(params: Any, graph: Any, edges: Any, key: Any, *rest: Any) -> Any:
                loss, gradient = both(params, graph, edges, key, *rest)
                run_key = jax.random.fold_in(jax.random.key(0), 2)
                bad = jax.random.key_data(jax.random.fold_in(run_key, step))
                now = (jax.random.key_data(key) == bad).all()
                value = jnp.where(now, jnp.nan, gradient.user[0, 0])
                return loss, gradient.replace(user=gradient.user.at[0, 0].set(value))

            return call

        return value_and_grad

    steps.jax.value_and_grad = poisoned(jax.value_and_grad)


def plant_clock(jumps: float) -> None:
    """Sets the clock back by `jumps` seconds at every look at it."""
    real, looks = time.time, iter(range(1_000_000_000))
    time.time = lambda: real() - jumps * next(looks)


def plant_removal(visit: int) -> None:
    """Removes the whole workdir at a save."""
    countdown = Countdown(visit)

    def around(original: Any) -> Any:
        def save(checkpoints: Any, *args: Any, **kwargs: Any) -> Any:
            if countdown.arrived():
                checkpoints.wait()  # or what it writes would be there again
                shutil.rmtree(checkpoints.directory.parent)
            return original(checkpoints, *args, **kwargs)

        return save

    replace(CHECKPOINT, "Checkpoints.save", around)


def plant_blind_space_check() -> None:
    """Lets saves begin without a look at the free space, so that they fail amid their writes."""
    replace(WRITING, "check_space", lambda original: lambda directory, state: None)


def plant_small_parts(size: int) -> None:
    """Cuts states into parts of so many bytes, so that each of several processes writes some."""
    importlib.import_module(WRITING).PART_BYTES = size  # type: ignore[attr-defined]


def plant_full_disk(visit: int) -> None:
    """Leaves no room for the parts that this process writes in one save."""
    countdown = Countdown(visit)

    def around(original: Any) -> Any:
        def write(path: Path, arrays: dict[str, Any]) -> str:
            if countdown.arrived():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            digest: str = original(path, arrays)
            return digest

        return write

    replace(WRITING, "write_part", around)


def plant_slowness(seconds: float) -> None:
    """Makes every read of the losses take so long, so that a signal comes amid the training."""

    def around(original: Any) -> Any:
        def train_steps(*args: Any, **kwargs: Any) -> Any:
            time.sleep(seconds)
            return original(*args, **kwargs)

        return train_steps

    replace("jaxrec.train.loop", "train_steps", around)


def plant_stubbornness(seconds: float) -> None:
    """Makes every dispatch take so long within one call that hears of no signal, as XLA's are."""

    def around(original: Any) -> Any:
        def train_steps(*args: Any, **kwargs: Any) -> Any:
            hashlib.pbkdf2_hmac("sha256", b"", b"", int(seconds * _hashes_per_second()))
            return original(*args, **kwargs)

        return train_steps

    replace("jaxrec.train.loop", "train_steps", around)


@functools.cache
def _hashes_per_second() -> float:
    begin = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)
    return 100_000 / (time.perf_counter() - begin)


def main() -> int:
    """Plants the fault and runs jaxrec with the other arguments."""
    fault = json.loads(sys.argv.pop(1))
    if "point" in fault:
        plant_kill(fault["point"], fault["visit"])
    if "nan_at_step" in fault:
        plant_nan(fault["nan_at_step"])
    if "clock" in fault:
        plant_clock(fault["clock"])
    if "remove_at_save" in fault:
        plant_removal(fault["remove_at_save"])
    if "blind" in fault:
        plant_blind_space_check()
    if "part_bytes" in fault:
        plant_small_parts(fault["part_bytes"])
    if "full_disk" in fault:
        plant_full_disk(fault["full_disk"])
    if "slow" in fault:
        plant_slowness(fault["slow"])
    if "stubborn" in fault:
        plant_stubbornness(fault["stubborn"])
    from jaxrec import main

    return main.main()


if __name__ == "__main__":
    sys.exit(main())
