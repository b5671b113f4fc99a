"""How good the lists are of listeners whom the network wasn't trained on, beside the same trained.

`./benchmarks/run.sh fold_in --config=configs/gowalla.py --data=FOLDER` leaves a share of the
listeners out of training, ranks them by their histories, and measures them on the test part; then
it trains with everybody and measures the same listeners. By the network alone, and with the
config's walks.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from benchmarks.measuring import machine
from benchmarks.tables import markdown_table
from benchmarks.variants import values_of
from jaxrec.config import RunConfig, read_config, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.models.model import Model
from jaxrec.rank.evaluate import evaluate
from jaxrec.rank.measure import histories_of
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.prepare import prepare_split
from jaxrec.train.joining import own_vectors
from jaxrec.train.network import Network, NetworkFitting
from jaxrec.train.step import TrainState

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """The listeners who are left out, and how they are measured.

    Attributes:
      config: the recipe.
      split: with everybody in it.
      rest: train without those who are left out.
      left_out: [n] int32.
    """

    config: RunConfig
    split: Split
    rest: Interactions
    left_out: np.ndarray

    @classmethod
    def of(cls, config: RunConfig, split: Split, share: float) -> "Case":
        """Leaves out a random share of the listeners, by the seed."""
        train = split.train
        count = round(share * train.num_users)
        random = np.random.default_rng(config.seed)
        left_out = np.sort(random.choice(train.num_users, count, replace=False))
        rest = train.select(~np.isin(train.user, left_out))
        return cls(config, split, rest, left_out.astype(np.int32))

    def histories(self) -> Histories:
        """Everybody's, of whom the model knows those of `rest` alone."""
        histories = histories_of(self.split.train, self.config)
        users = histories.users.copy()
        users[self.left_out] = -1
        return dataclasses.replace(histories, users=users)

    def measure(self, model: Model, histories: Histories) -> Figures:
        """Recall and NDCG of those who were left out; items that `rest` doesn't know are missed."""
        test = self.split.test
        assert test is not None
        return evaluate(
            model,
            histories=histories,
            relevant=test,
            seen=self.split.train,
            train=self.rest,
            ks=self.config.eval.ks,
            users=self.left_out,
            memory_budget_mb=self.config.eval.memory_budget_mb,
            protocol={},
        ).means()


def train(config: RunConfig, interactions: Interactions) -> tuple[NetworkFitting, TrainState]:
    """Trains the network to its last epoch."""
    fitting = Network().fitting(config, interactions)
    state, hooks = fitting.fresh(), Hooks(Console().progress)
    for epoch in range(config.epochs):
        state, _ = fitting.advance(state, epoch, hooks)
    return fitting, state


def without_own(model: Model) -> Model:
    """The same model, which leaves the own vector of somebody new out."""
    if isinstance(model, Factors) and isinstance(model.fold_in, MessageSum):
        bare = dataclasses.replace(model.fold_in, direction=None)
        return dataclasses.replace(model, fold_in=bare)
    members = tuple(without_own(each) for each in getattr(model, "members", ()))
    return dataclasses.replace(model, members=members) if members else model  # type: ignore[type-var]


def into_the_graph(
    case: Case, config: RunConfig, fitting: NetworkFitting, state: TrainState
) -> Model:
    """The model with those who were left out as nodes of the graph; nothing is trained."""
    own = np.array(state.params.user)
    strangers = case.histories().take(case.left_out)
    own[case.left_out] = own_vectors(fitting, state, strangers)
    params = Embeddings(user=jax.numpy.asarray(own), item=state.params.item)
    whole = Network().fitting(config, case.split.train)
    return whole.model(state.replace(params=params))


def compare(case: Case, *, rest_epochs: int) -> list[list[str]]:
    """A row for the network alone, and for it with walks: figures, and shares of the trained."""
    with_walks = case.config.walks.weight > 0
    alone = with_fields(case.config, {"walks.weight": 0.0})
    shorter = with_fields(case.config, {"epochs": rest_epochs})
    fitting, state = train(shorter, case.rest)
    _, trained = train(case.config, case.split.train)
    rows = []
    for name, config in (("network", alone), ("with walks", case.config))[: 1 + with_walks]:
        of_rest = Network().fitting(config, case.rest).model(state)
        of_all = Network().fitting(config, case.split.train).model(trained)
        histories, everybody = case.histories(), histories_of(case.split.train, config)
        start = time.perf_counter()
        folded = case.measure(of_rest, histories)
        seconds = time.perf_counter() - start
        found = {
            "trained with": case.measure(of_all, everybody),
            "own vector left out": case.measure(without_own(of_rest), histories),
            "folded in": folded,
            "folded in, into the graph": case.measure(
                into_the_graph(case, config, fitting, state), histories
            ),
        }
        k = case.config.eval.ks[-1]
        base = found["trained with"]
        for way, figures in found.items():
            row = [name, way]
            for metric in (f"recall@{k}", f"ndcg@{k}"):
                row += [f"{figures[metric]:.4f}", f"{figures[metric] / base[metric]:.1%}"]
            rows.append([*row, f"{seconds:.1f} s" if way == "folded in" else ""])
            print(" | ".join(rows[-1]), flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", type=Path, required=True, help="a file such as configs/gowalla.py"
    )
    parser.add_argument("--data", help="where the data lie; otherwise downloaded")
    parser.add_argument("--share", type=float, default=0.2, help="of the listeners left out")
    parser.add_argument("--epochs", type=int, help="instead of the config's")
    parser.add_argument(
        "--rest_epochs", type=int, help="of the training without them; otherwise the same"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fold_in.md"))
    options = parser.parse_args(arguments)
    if not 0 < options.share < 1:
        parser.error(f"--share is {options.share}; expected a number between 0 and 1")
    keep_compiled()
    values = values_of(options.config)
    values.data.path, values.seed = options.data, options.seed
    values.epochs = options.epochs or values.epochs
    config = read_config(values.to_dict())
    case = Case.of(config, prepare_split(config, Console(quiet=True)), options.share)
    rows = compare(case, rest_epochs=options.rest_epochs or config.epochs)
    k = config.eval.ks[-1]
    head = ["model", "those left out are", f"Recall@{k}", "of trained", f"NDCG@{k}", "of trained"]
    table = markdown_table([*head, "ranked in"], rows)
    what = f"{len(case.left_out):,} of {case.split.train.num_users:,} listeners left out"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(f"{options.config}, {what}; {machine()}\n\n{table}")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
