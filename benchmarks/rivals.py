"""Tunes every method on validation, measures each choice on test once, and compares them.

`./benchmarks/run.sh rivals` calls this. It only calls jaxrec's own commands, which it prints, so
that each can be repeated by itself; called again, it goes on where it was stopped.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_WEIGHT = "data.weight in binary log"  # without plays the same but for its scale
# What is searched of each baseline; of the network, what its configuration declares.
SPACES = {
    "gcn": (),
    "most_popular": (),
    "itemknn": (
        _WEIGHT,
        "baseline.itemknn.neighbours in 20 50 100 200 400",
        "baseline.itemknn.shrink float 0 50",
        "baseline.itemknn.normalize in True False",
        "baseline.itemknn.centre in True False",
    ),
    "rp3beta": (
        _WEIGHT,
        "baseline.rp3beta.neighbours in 50 100 200 400",
        "baseline.rp3beta.alpha float 0.2 1.6",
        "baseline.rp3beta.beta float 0 1",
    ),
    "ease": (
        _WEIGHT,
        "baseline.ease.l2 log 10 10000",
        "baseline.ease.l2_exponent in 0.0 0.25 0.5",
    ),
    "slim": (
        _WEIGHT,
        "baseline.slim.neighbours in 50 100 200",
        "baseline.slim.l2 log 3 3000",
        "baseline.slim.l2_exponent in 0.0 0.25 0.5 0.75",
    ),
    "ials": (
        _WEIGHT,
        "baseline.ials.dim in 32 64 128",
        "baseline.ials.iterations in 8 16",
        "baseline.ials.unobserved_weight log 0.003 1",
        "baseline.ials.l2 log 0.0001 0.3",
        "baseline.ials.l2_exponent float 0 1",
    ),
    "gfcf": (
        _WEIGHT,
        "baseline.gfcf.singular_vectors int 16 256",
        "baseline.gfcf.low_pass_weight float 0 1",
    ),
}

_SPACE_FLAG = "--config.tune.space="


def commands(
    methods: Sequence[str], flags: Sequence[str], out: Path, *, trials: int, seeds: int
) -> list[list[str]]:
    """The command lines, each as words after `python -m jaxrec.main`.

    Args:
      methods: of `SPACES`, the reference of the comparison first.
      flags: of the configuration, for each command.
      out: the folder of a search per method.
      trials: settings tried per method.
      seeds: of the final runs, where chance has a part.
    """
    lines = []
    for method in methods:
        workdir = f"--workdir={out / method}"
        of_method = [*flags, f"--config.method={method}"]
        if method != "gcn":  # whose space another may not have
            of_method = [each for each in of_method if not each.startswith(_SPACE_FLAG)]
        if method == "most_popular":  # has nothing to choose
            lines.append(["evaluate", "--final", *of_method, workdir])
            continue
        if SPACES[method]:
            of_method.append(f"{_SPACE_FLAG}{tuple(SPACES[method])!r}")
        lines.append(["tune", *of_method, f"--config.tune.trials={trials}", workdir])
        lines.append(["evaluate", "--final", f"--seeds={seeds}", workdir])
    runs = ",".join(str(out / method) for method in methods)
    lines.append(["compare", f"--runs={runs}", f"--output={out / 'compare.json'}"])
    return lines


def main() -> int:
    """Runs the commands one after another; the exit status is that of the first that fails."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh rivals", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rivals"))
    parser.add_argument("--methods", default=",".join(SPACES), help="the reference first")
    parser.add_argument("--trials", type=int, default=30, help="settings tried per method")
    parser.add_argument("--seeds", type=int, default=5)
    options, flags = parser.parse_known_args()
    methods = options.methods.split(",")
    if not set(methods) <= set(SPACES) or len(methods) < 2:
        parser.error(f"--methods is {options.methods!r}; expected two or more of {list(SPACES)}")
    if not any(flag.startswith("--config=") for flag in flags):
        parser.error("--config is missing; expected a file such as configs/lastfm.py")
    lines = commands(methods, flags, options.out, trials=options.trials, seeds=options.seeds)
    for number, line in enumerate(lines, start=1):
        words = [sys.executable, "-m", "jaxrec.main", *line]
        print(f"\n[{number}/{len(lines)}] {shlex.join(['python', *words[1:]])}", flush=True)
        if status := subprocess.run(words, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
