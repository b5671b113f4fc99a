"""From the configuration and the training interactions to a fitted baseline."""

import time
from collections.abc import Iterable, Sequence

from jaxrec import baselines
from jaxrec.config import RunConfig, to_json
from jaxrec.data.interactions import Interactions
from jaxrec.rank.top_k import Scorer
from jaxrec.report.console import Console


def fit_baseline(config: RunConfig, train: Interactions, console: Console) -> Scorer:
    """Fits the baseline that `config.method` names, showing how far it is.

    Raises:
      UserError: a parameter doesn't suit the data, or the memory doesn't suffice.
    """

    def track(steps: Sequence[baselines.Step], what: str, unit: str) -> Iterable[baselines.Step]:
        with console.progress(len(steps), f"{config.method}: {what}", unit=unit) as bar:
            for step in steps:
                yield step
                bar.update(1)

    start = time.perf_counter()
    scorer = baselines.fit(
        config.method,
        to_json(config)["baseline"].get(config.method, {}),
        train,
        weight=config.data.weight,
        seed=config.seed,
        track=track,
    )
    console.note(f"{config.method}: fitted in {time.perf_counter() - start:.1f} s")
    return scorer
