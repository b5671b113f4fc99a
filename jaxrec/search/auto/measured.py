"""The parts of train, ready to pool what models say of them."""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.config import RunConfig
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.measure import histories_of
from jaxrec.search.auto.parts import Part
from jaxrec.search.auto.pool import Pool, make_pool

Models = Mapping[str, Sequence[Model]]  # by name, one for each part


class Measured:
    """What models of the parts are measured by.

    Attributes:
      config: says by which metric, and the weight of an interaction.
      parts: train and validation.
      metrics: what members must gain in.
      histories: every user's in train, by part.
      known: [num_items] bool by part, the items that train knows.
    """

    def __init__(self, config: RunConfig, parts: Sequence[Part]) -> None:
        self.config, self.parts = config, parts
        name, k = config.eval.metric.split("@")
        self.metrics = (config.eval.metric, f"{'recall' if name == 'ndcg' else 'ndcg'}@{k}")
        self.histories = [histories_of(part.split.train, config) for part in parts]
        self.known = [np.asarray(item_users(part.split.train) > 0) for part in parts]

    def pools(self, models: Models, *, leaders: Sequence[str], standardise: bool) -> list[Pool]:
        """A pool for each part; see `make_pool`."""
        return [
            make_pool(
                {name: each[k] for name, each in models.items()},
                part.split,
                self.histories[k],
                leaders=leaders,
                standardise=standardise,
                memory_budget_mb=self.config.eval.memory_budget_mb,
            )
            for k, part in enumerate(self.parts)
        ]

    def figures(self, pools: Sequence[Pool], weights: Mapping[str, float]) -> list[np.ndarray]:
        """Each user's figures, by part and by the rule that cut the user's validation.

        Two metrics, `eval.metric` and NDCG (else recall): what is good for one may harm the other.

        Returns:
          Of each part and rule, [users, 2].
        """
        found = []
        for part, pool in zip(self.parts, pools, strict=True):
            values = [pool.figures(weights, metric) for metric in self.metrics]
            found += part.by_rule(pool.users, np.stack(values, axis=1))
        return found

    def score(self, pools: Sequence[Pool], weights: Mapping[str, float]) -> float:
        """`eval.metric`'s mean over users, and over parts and rules of that."""
        means = [float(each[:, 0].mean()) for each in self.figures(pools, weights)]
        return statistics.fmean(means)
