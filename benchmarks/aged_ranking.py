"""How long ranking everybody takes with listens that age, beside the same without.

`./benchmarks/run.sh aged_ranking --data=events.csv` calls this: a network that isn't trained, which
ranks as long as one that is, and RP3beta. Weighing the histories is counted, fitting isn't. The two
ways take turns, so that another load on the machine disturbs both.
"""

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measuring import in_turns, machine
from benchmarks.tables import digits, markdown_table, paired_ratios, show, summarise
from jaxrec.config import RunConfig, read_config, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.models.method import Hooks, unseen
from jaxrec.models.model import Model
from jaxrec.rank.measure import histories_of
from jaxrec.rank.top_k import top_k
from jaxrec.report.console import Console
from jaxrec.runs.methods import fit_model, fitting_of
from jaxrec.runs.prepare import prepare_split

K = 10
AGES: Mapping[str, Mapping[str, object]] = {
    "no ages": {},
    "ages": {"history.weight": "raw", "history.half_life_days": 30.0},
}


def models_of(config: RunConfig, train: Interactions) -> dict[str, Model]:
    """What ranks, by name."""
    network = fitting_of(with_fields(config, {"method": "gcn"}), train)
    rp3beta = with_fields(config, {"method": "rp3beta"})
    return {
        "network of 64 numbers": network.model(network.fresh()),
        "RP3beta": fit_model(rp3beta, train, Hooks(unseen)),
    }


def rounds_of(
    model: Model, config: RunConfig, train: Interactions, rounds: int
) -> dict[str, dict[int, float]]:
    """Seconds to weigh and rank all users, by way and round, after a round that isn't counted."""

    def ranked(own: RunConfig) -> None:
        top_k(model, histories_of(train, own), k=K)

    ways = {way: functools.partial(ranked, with_fields(config, AGES[way])) for way in AGES}
    return in_turns(ways, rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh aged_ranking", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a CSV of user, item, timestamp")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    data = {
        "source": "listens",
        "path": str(options.data),
        "columns": {"timestamp": "timestamp"},
        "split": "time",
    }
    config = read_config({"quiet": True, "data": data})
    train = prepare_split(config, Console(quiet=True)).train
    rows = []
    for name, model in models_of(config, train).items():
        times = rounds_of(model, config, train, options.rounds)
        ratios = summarise(paired_ratios(times["ages"], times["no ages"]))
        ways = [show(summarise(list(each.values())), "s") for each in times.values()]
        rows.append(
            [
                name,
                *ways,
                f"{digits(ratios.median)} ({digits(ratios.low)} to {digits(ratios.high)})",
            ]
        )
    print(f"{machine()}; {train.num_users:,} users, {train.num_items:,} items, lists of {K}")
    print(markdown_table(["", *AGES, "ratio"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
