"""What is measured during a run and at its end, on whom, and beside what."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from jaxrec.commands.results import per_user_table
from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.gcn.model import Embeddings
from jaxrec.rank.evaluate import Evaluation, choose_users, evaluate
from jaxrec.rank.popularity import most_popular_embeddings
from jaxrec.rank.top_k import Model, Scorer
from jaxrec.report.console import Console

RECONSTRUCTION = "reconstruction"


class Measure:
    """The evaluations of one run: the same users, parts and protocol from epoch to epoch."""

    def __init__(self, config: RunConfig, split: Split, *, peek: bool = True) -> None:
        """Chooses the users of the per-epoch evaluations from the seed.

        Args:
          config: says what is measured.
          split: the parts to measure on.
          peek: whether test is watched during the run where there is no validation part.
        """
        self.config = config
        self.split = split
        watchable = ("validation", "test") if peek else ("validation",)
        self.held_out = next((name for name in watchable if getattr(split, name) is not None), None)
        self.watched = f"validation/{config.eval.metric}"

    def at_epoch(self, model: Embeddings | Scorer) -> dict[str, float]:
        """The watched metric on a few random users, by `<part>/<metric>`."""
        return {
            f"{part}/{self.config.eval.metric}": self._of_few(part, model)
            for part in (RECONSTRUCTION, self.held_out)
            if part is not None
        }

    def most_popular_at_epoch(self) -> float | None:
        """The most-popular list's held-out metric on the users of `at_epoch`, or None."""
        if self.held_out is None:
            return None
        return self._of_few(self.held_out, self.most_popular())

    def most_popular(self) -> Embeddings:
        """Embeddings that rank by the number of listeners, for the same code to measure."""
        return Embeddings(*map(jnp.asarray, most_popular_embeddings(self.split.train)))

    def out_of_patience(self, scores: Sequence[float]) -> bool:
        """Whether the last `eval.patience` of the watched metric's values brought no better one."""
        patience = self.config.eval.patience
        return bool(patience and scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience

    def of_all(self, part: str, model: Embeddings | Scorer, ks: Sequence[int]) -> Evaluation:
        """All metrics on all users with an interaction in the part.

        Args:
          part: `reconstruction`, `validation` or `test`.
          model: what to rank with.
          ks: list lengths.
        """
        return self._evaluate(part, model, ks, users=None)

    def score(self, part: str, model: Embeddings | Scorer) -> float:
        """The watched metric on all users with an interaction in the part."""
        return self._watched(part, model, users=None)

    def _of_few(self, part: str, model: Embeddings | Scorer) -> float:
        users = choose_users(
            self._relevant(part), count=self.config.eval.users, seed=self.config.seed
        )
        return self._watched(part, model, users)

    def _watched(self, part: str, model: Embeddings | Scorer, users: np.ndarray | None) -> float:
        metric = self.config.eval.metric
        cutoff = int(metric.partition("@")[2])
        return self._evaluate(part, model, (cutoff,), users).means()[metric]

    def _relevant(self, part: str) -> Interactions:
        relevant: Interactions = getattr(self.split, "train" if part == RECONSTRUCTION else part)
        return relevant

    def _evaluate(
        self,
        part: str,
        model: Embeddings | Scorer,
        ks: Sequence[int],
        users: np.ndarray | None,
    ) -> Evaluation:
        seen = None
        if part != RECONSTRUCTION:
            seen = self.split.train
            if part == "test" and self.split.validation is not None:
                seen = union(seen, self.split.validation)
        return evaluate(
            tables_or_scorer(model),
            relevant=self._relevant(part),
            seen=seen,
            train=self.split.train,
            ks=ks,
            users=users,
            memory_budget_mb=self.config.eval.memory_budget_mb,
            protocol={
                "part": part,
                "data_sha256": self.split.fingerprints,
                "split": self.split.protocol,
            },
        )


def tables_or_scorer(model: Embeddings | Scorer) -> Model:
    """The model as ranking takes it."""
    return model if callable(model) else (model.user, model.item)


def union(first: Interactions, second: Interactions) -> Interactions:
    """The interactions of two parts of one split, in order; no pair is in both."""
    user, item = (
        np.concatenate([getattr(first, side), getattr(second, side)]) for side in ("user", "item")
    )
    order = np.lexsort((item, user))
    return Interactions(
        user=user[order],
        item=item[order],
        plays=np.concatenate([first.plays, second.plays])[order],
        timestamp=None,
        users=first.users,
        items=first.items,
    )


def final_results(
    measure: Measure, model: Embeddings | Scorer, *, step: int | None
) -> tuple[dict[str, Any], pa.Table]:
    """The figures of all users beside the most-popular list's, with their protocol, for JSON.

    Measured on test where there is one, else on validation, else as reconstruction.

    Returns:
      What `write_results` takes: the figures, and the model's for each user.
    """
    config, split = measure.config, measure.split
    part = "test" if split.test is not None else measure.held_out or RECONSTRUCTION
    columns = {
        name: measure.of_all(part, candidate, config.eval.ks)
        for name, candidate in (
            ("model", model),
            ("most_popular", measure.most_popular()),
        )
    }
    results = {
        "step": step,
        "part": part,
        "protocol": columns["model"].protocol,
        "metrics": {name: each.summary(seed=config.seed) for name, each in columns.items()},
        "beyond_accuracy": {name: each.beyond for name, each in columns.items()},
    }
    model_column = columns["model"]
    return results, per_user_table(model_column.per_user, model_column.users, split.train.users)


def show_results(results: Mapping[str, Any], console: Console) -> None:
    """The final table: each metric with its 95% bootstrap interval over users."""
    metrics = results["metrics"]
    figures: dict[str, dict[str, tuple[float, ...]]] = {
        name.replace("_", " "): {
            metric: (figure["mean"], figure["low"], figure["high"])
            for metric, figure in column.items()
        }
        | {metric: (value,) for metric, value in results["beyond_accuracy"][name].items()}
        for name, column in metrics.items()
    }
    figures["ratio"] = {
        metric: (figure["mean"] / metrics["most_popular"][metric]["mean"],)
        for metric, figure in metrics["model"].items()
        if metrics["most_popular"][metric]["mean"] > 0
    }
    users = results["protocol"]["users"]
    of = ""  # a baseline has no steps
    if "seeds" in results:
        of = f", seeds {', '.join(map(str, results['seeds']))}"
        figures["deviation"] = {
            metric: (figure["deviation"],)
            for metric, figure in metrics["model"].items()
            if figure["deviation"] is not None
        }
    elif results["step"] is not None:
        of = f", step {results['step']:,}"
    console.results(
        f"Results on {results['part']}, {users:,} users{of} (mean and 95% interval)",
        figures,
    )
