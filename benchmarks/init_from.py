"""How many epochs a training saves that begins with what another has learnt of fewer listens.

`./benchmarks/run.sh init_from --config=configs/gowalla.py --data=FOLDER` leaves a share of the
listens or listeners out, trains on the rest, and then on everything: once by chance and once from
there (`train --init_from`), with the test metrics of every epoch. What is compared is on test, so
none of these figures chooses anything.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from benchmarks.tables import keep_table, markdown_table
from benchmarks.variants import values_of
from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.method import Hooks
from jaxrec.rank.evaluate import evaluate
from jaxrec.rank.measure import histories_of
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.starting import known_rows
from jaxrec.train.carrying import Start
from jaxrec.train.network import Network, NetworkFitting
from jaxrec.train.step import TrainState


def earlier(train: Interactions, what: str, share: float, seed: int) -> Interactions:
    """Train without a random share of its listeners, or of its listens."""
    random = np.random.default_rng(seed)
    if what == "listens":
        return train.select(random.random(len(train)) >= share)
    count = round(share * train.num_users)
    return train.select(~np.isin(train.user, random.choice(train.num_users, count, replace=False)))


def figures(config: RunConfig, split: Split, fitting: NetworkFitting, state: TrainState) -> str:
    """Recall and NDCG on test, as a text."""
    assert split.test is not None
    found = evaluate(
        fitting.model(state),
        histories=histories_of(split.train, config),
        relevant=split.test,
        seen=split.train,
        train=split.train,
        ks=config.eval.ks,
        memory_budget_mb=config.eval.memory_budget_mb,
        protocol={},
    ).means()
    k = config.eval.ks[-1]
    return f"{found[f'recall@{k}']:.4f}/{found[f'ndcg@{k}']:.4f}"


def trained(config: RunConfig, train: Interactions) -> TrainState:
    """The network trained to its last epoch."""
    fitting = Network().fitting(config, train)
    state, hooks = fitting.fresh(), Hooks(Console(quiet=True).progress)
    for epoch in range(config.epochs):
        state, _ = fitting.advance(state, epoch, hooks)
    return state


def by_epoch(config: RunConfig, split: Split, start: Start | None, every: int) -> dict[int, str]:
    """Figures by the number of epochs trained on everything."""
    fitting = Network().fitting(config, split.train)
    state, found = fitting.fresh(), {}
    if start is not None:
        state, told = fitting.started_from(start, split.train)
        print(told, flush=True)
    hooks = Hooks(Console(quiet=True).progress)
    for epoch in range(config.epochs + 1):
        if epoch % every == 0 or epoch in (1, config.epochs):
            found[epoch] = figures(config, split, fitting, state)
            print(
                f"{'by chance' if start is None else 'from it'} {epoch} {found[epoch]}", flush=True
            )
        if epoch < config.epochs:
            state, _ = fitting.advance(state, epoch, hooks)
    return found


def start_with(train: Interactions, state: TrainState) -> Start:
    """What a state has learnt of those in train."""
    users, user = known_rows(train.users, train.user, np.asarray(state.params.user))
    items, item = known_rows(train.items, train.item, np.asarray(state.params.item))
    params = Embeddings(user=jnp.asarray(user), item=jnp.asarray(item))
    return Start(users, items, params, sha256="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="such as configs/gowalla.py")
    parser.add_argument("--data", help="where the data lie; otherwise downloaded")
    parser.add_argument("--without", choices=("listeners", "listens"), default="listens")
    parser.add_argument("--share", type=float, default=0.2, help="of them left out at first")
    parser.add_argument("--epochs", type=int, help="instead of the config's")
    parser.add_argument("--every", type=int, default=5, help="epochs between two measurements")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/init_from.md"))
    options = parser.parse_args(arguments)
    if not 0 < options.share < 1:
        parser.error(f"--share is {options.share}; expected a number between 0 and 1")
    keep_compiled()
    values = values_of(options.config)
    values.data.path = options.data
    values.epochs = options.epochs or values.epochs
    config = read_config(values.to_dict())
    split = prepare_split(config, Console(quiet=True))
    before = earlier(split.train, options.without, options.share, config.seed)
    state = trained(config, before)
    columns = [
        by_epoch(config, split, start, options.every) for start in (None, start_with(before, state))
    ]
    rows = [[str(epoch), *(each[epoch] for each in columns)] for epoch in columns[0]]
    k = config.eval.ks[-1]
    head = ["epochs", f"by chance, Recall@{k}/NDCG@{k}", "from the earlier run"]
    table = markdown_table(head, rows)
    what = f"{len(before):,} of {len(split.train):,} pairs in the earlier run, without a share of "
    what += f"{options.share} of the {options.without}"
    keep_table(options.out, f"{options.config}, {what}", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
