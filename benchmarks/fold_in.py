"""How good the lists are of listeners whom a model wasn't fitted to, beside the same known to it.

`./benchmarks/run.sh fold_in --config=configs/gowalla.py --data=FOLDER` leaves a share of the
listeners out, ranks them by their histories, and measures them on the test part; then it fits to
everybody and measures the same listeners. Of a network by itself, and with the config's walks; a
blend as a whole.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.tables import keep_table, markdown_table
from benchmarks.variants import values_of
from jaxrec.config import RunConfig, read_config, with_fields
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.models.model import Model
from jaxrec.rank.evaluate import evaluate
from jaxrec.rank.measure import histories_of
from jaxrec.report.console import Console
from jaxrec.runs.compilation import keep_compiled
from jaxrec.runs.joining import join
from jaxrec.runs.methods import blended, fitting_of, is_automatic, member_config, method_of
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.trained import Trained
from jaxrec.train.joining import Joiners

Figures = dict[str, np.ndarray]  # by metric, a number for each user
RESAMPLES = 1000


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

    def joiners(self) -> Joiners:
        """Those who were left out, as users who came after training."""
        plays = self.split.train.plays[np.isin(self.split.train.user, self.left_out)]
        strangers = self.histories().take(self.left_out).as_learnt()
        return Joiners(strangers, plays, np.zeros(0, np.int32))

    def measure(self, model: Model, histories: Histories) -> Figures:
        """Of each who was left out; items that `rest` doesn't know are missed."""
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
        ).per_user


def fitted(config: RunConfig, train: Interactions) -> Trained:
    """A method fitted to its end, in memory, as if it had been opened from a run's folder."""
    split = Split(train, None, None, {"kind": "none"})
    names = method_of(config).members(config)
    if names:
        members = {name: fitted(member_config(config, name), train) for name in names}
        model = blended({name: each.model for name, each in members.items()}, config, train)
        return Trained(config, split, model, None, members=members)
    fitting = fitting_of(config, train)
    state, hooks = fitting.fresh(), Hooks(Console().progress)
    for epoch in range(fitting.epochs):
        state, _ = fitting.advance(state, epoch, hooks)
    made_of = (fitting, state) if fitting.iterative else None
    return Trained(config, split, fitting.model(state), None, made_of)


def without_walks(run: Trained) -> Trained:
    """The same network, ranked by its vectors alone."""
    assert run.made_of is not None
    config = with_fields(run.config, {"walks.weight": 0.0})
    fitting = dataclasses.replace(run.made_of[0], config=config)
    made_of = (fitting, run.made_of[1])
    return dataclasses.replace(
        run, config=config, model=fitting.model(run.made_of[1]), made_of=made_of
    )


def without_own(model: Model) -> Model:
    """The same model, which leaves the own vector of somebody new out."""
    if isinstance(model, Factors) and isinstance(model.fold_in, MessageSum):
        bare = dataclasses.replace(model.fold_in, own=None)
        return dataclasses.replace(model, fold_in=bare)
    members = tuple(without_own(each) for each in getattr(model, "members", ()))
    return dataclasses.replace(model, members=members) if members else model  # type: ignore[type-var]


def share_of(found: np.ndarray, base: np.ndarray, *, seed: int = 0) -> tuple[float, float, float]:
    """The ratio of two means over the same users, with its 95% bootstrap interval over them."""
    random = np.random.default_rng(seed)
    draws = random.integers(0, len(base), (RESAMPLES, len(base)))
    ratios = found[draws].mean(axis=1) / base[draws].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(found.mean() / base.mean()), float(low), float(high)


def compare(case: Case, *, rest_epochs: int) -> list[list[str]]:
    """Rows for each model: figures, and shares of the trained; of a network with walks without."""
    rest = fitted(with_fields(case.config, {"epochs": rest_epochs}), case.rest)
    whole = fitted(case.config, case.split.train)
    pairs = {case.config.method: (rest, whole)}
    if rest.made_of is not None and case.config.walks.weight > 0:
        pairs = {
            "network": (without_walks(rest), without_walks(whole)),
            "with walks": (rest, whole),
        }
    histories, everybody = case.histories(), histories_of(case.split.train, case.config)
    rows, k = [], case.config.eval.ks[-1]
    for name, (of_rest, of_all) in pairs.items():
        base = case.measure(of_all.model, everybody)
        start = time.perf_counter()
        found = {"trained with": base, "folded in": case.measure(of_rest.model, histories)}
        seconds = time.perf_counter() - start
        found["own vector left out"] = case.measure(without_own(of_rest.model), histories)
        with_them = join(of_rest, case.joiners(), Hooks(Console(quiet=True).progress))
        found["folded in, joined"] = case.measure(with_them, histories)
        found["trained with, own vector solved for"] = case.measure(of_all.model, histories)
        for way, figures in found.items():
            row = [name, way]
            for metric in (f"recall@{k}", f"ndcg@{k}"):
                share, low, high = share_of(figures[metric], base[metric])
                row += [f"{figures[metric].mean():.4f}", f"{share:.1%} [{low:.1%}, {high:.1%}]"]
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
        "--rest_epochs",
        type=int,
        help="of the training without them; otherwise as many more as make as many updates",
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
    if is_automatic(config):
        parser.error(f"{options.config} has auto for its method; expected what it has chosen")
    case = Case.of(config, prepare_split(config, Console(quiet=True)), options.share)
    as_many = round(config.epochs / (1 - options.share))
    rows = compare(case, rest_epochs=options.rest_epochs or as_many)
    k = config.eval.ks[-1]
    head = ["model", "those left out are", f"Recall@{k}", "of trained", f"NDCG@{k}", "of trained"]
    table = markdown_table([*head, "ranked in"], rows)
    what = f"{len(case.left_out):,} of {case.split.train.num_users:,} listeners left out"
    keep_table(options.out, f"{options.config}, {what}", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
