"""How long ranking everybody by a run's model takes, beside its network's vectors alone.

`./benchmarks/run.sh ranking --run=FOLDER` calls this. What was listened to is left out of the
lists, as in an evaluation. The models take turns, so that another load on the machine disturbs
them alike; a first turn, which compiles, isn't counted.
"""

import argparse
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measuring import in_turns, machine
from benchmarks.tables import digits, markdown_table, paired_ratios, show, summarise
from jaxrec import host_memory
from jaxrec.models.blend import Blend
from jaxrec.models.factors import Factors
from jaxrec.models.model import Model
from jaxrec.rank.measure import histories_of
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from jaxrec.runs.trained import open_trained

K = 20


def parts_of(model: Model) -> Iterator[Model]:
    """The model and, where it is a blend, what it is made of, however deep."""
    yield model
    if isinstance(model, Blend):
        for member in model.members:
            yield from parts_of(member)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh ranking", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder of a finished run")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    host_memory.keep_freed()  # as the commands do
    trained = open_trained(options.run, None)
    vectors = next((part for part in parts_of(trained.model) if isinstance(part, Factors)), None)
    if vectors is None:
        parser.error(f"--run: {options.run} has no vectors to compare with; expected a network's")
    train = trained.split.train
    histories = histories_of(train, trained.config)
    seen = Seen.of_users(train, np.arange(train.num_users))
    models: dict[str, Model] = {"the network's vectors": vectors, "the whole": trained.model}
    rankings = {
        name: functools.partial(top_k, model, histories, k=K, seen=seen)
        for name, model in models.items()
    }
    times = in_turns(rankings, options.rounds)
    ratios = summarise(paired_ratios(times["the whole"], times["the network's vectors"]))
    print(f"{machine()}; {train.num_users:,} users, {train.num_items:,} items, lists of {K}")
    kinds = [" ".join(part.kind for part in parts_of(model)) for model in models.values()]
    rows = [
        [name, kind, show(summarise(list(times[name].values())), "s")]
        for name, kind in zip(models, kinds, strict=True)
    ]
    rows[1].append(f"{digits(ratios.median)} ({digits(ratios.low)} to {digits(ratios.high)})")
    rows[0].append("1")
    print(markdown_table(["", "made of", "seconds", "ratio"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
