"""The parts of train, ready to pool what models say of them."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.config import RunConfig, with_fields
from jaxrec.models.matrix import Track, in_threads, untracked
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.measure import Measure
from jaxrec.search.auto.parts import Part
from jaxrec.search.auto.pool import Pool, cutoff, make_pool


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
        self._measures = [Measure(config, part.split, peek=False) for part in parts]
        self.histories = [each.histories for each in self._measures]
        self.known = [np.asarray(item_users(part.split.train) > 0) for part in parts]

    def pools(
        self,
        models: Sequence[Mapping[str, Model]],
        *,
        leaders: Sequence[Sequence[Model]] | None = None,
        standardise: bool,
        every_view: bool = False,
        track: Track = untracked,
    ) -> list[Pool]:
        """A pool for each part; see `make_pool`.

        Args:
          models: of each part, by name.
          leaders: of each part, as of `make_pool`; all of its models unless they are given.
          standardise: as of `make_pool`.
          every_view: whether, where what was known is to be found beside what is new, there are
            pools for either alone, too, behind those of all.
          track: shows how far it is.
        """
        if leaders is None:
            leaders = [list(each.values()) for each in models]
        views = self._views() if every_view else self._measures
        parts = zip(itertools.cycle(models), itertools.cycle(leaders), views, strict=False)
        return [
            make_pool(
                own,
                measure,
                leaders=leading,
                standardise=standardise,
                memory_budget_mb=self.config.eval.memory_budget_mb,
                track=track,
            )
            for own, leading, measure in parts
        ]

    def figures(self, pools: Sequence[Pool], weights: Mapping[str, float]) -> list[np.ndarray]:
        """Each user's figures on each part, by the rule that cut the user's validation.

        Two metrics, `eval.metric` and NDCG (else recall): what is good for one may harm the other.
        Where there are pools of every view, a user's figures in each of them together: else what
        is heard again would hide how good the rest is, as it is so much easier to find.

        Returns:
          Of each rule, at random first, [users, 2]; no empty array.
        """
        k = max(map(cutoff, self.metrics))
        steps = [(pool, block) for pool in pools for block in pool.blocks()]
        found = iter(in_threads(lambda step: step[0].ranked(weights, k, step[1]), steps))
        figures = np.concatenate(
            [
                pool.figures(np.concatenate([next(found) for _ in pool.blocks()]), self.metrics)
                for pool in pools
            ]
        )
        pairs = zip(itertools.cycle(self.parts), pools, strict=False)
        alike = np.concatenate([part.alike[pool.users] for part, pool in pairs])
        return [each for each in (figures[~alike], figures[alike]) if len(each)]

    def score(self, pools: Sequence[Pool], weights: Mapping[str, float]) -> float:
        """`eval.metric`'s mean over parts and users whose items were held out at random."""
        return float(self.figures(pools[: len(self.parts)], weights)[0][:, 0].mean())

    def _views(self) -> list[Measure]:
        """The measures of all parts by the rule of `eval.seen`, then by those within it."""
        found = list(self._measures)
        if self.config.eval.seen != "include":
            return found
        for seen in ("exclude", "only"):
            config = with_fields(self.config, {"eval.seen": seen})
            views = [Measure(config, part.split, peek=False) for part in self.parts]
            if all(len(view.relevant("validation")) for view in views):
                found += views
        return found
