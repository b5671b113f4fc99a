"""One trial of a search: fitted in memory to train, measured on validation."""

import dataclasses
import math
from collections.abc import Callable

from jaxrec.commands.fit import fit_baseline
from jaxrec.commands.measure import Measure
from jaxrec.commands.ranker import ranker
from jaxrec.commands.train import check_memory
from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.report.console import Console
from jaxrec.train.setup import build


@dataclasses.dataclass(frozen=True)
class Candidate:
    """How good some settings are.

    Attributes:
      score: `eval.metric` on all users of the validation part.
      epochs: after how many epochs; None where the method has none.
      pruned: whether it was given up before its end.
    """

    score: float
    epochs: int | None
    pruned: bool = False


def fit_candidate(
    config: RunConfig,
    split: Split,
    console: Console,
    *,
    description: str,
    give_up: Callable[[int, float], bool],
) -> Candidate:
    """Fits some settings and says how good they are at their best epoch.

    With a learning rate that falls towards the last epoch, the last epoch is the only one that
    training again for that many epochs would repeat: so it counts, and patience does not.

    Args:
      config: the settings.
      split: its train and validation parts are used, no other.
      console: shows how far it is.
      description: of the work, for the console.
      give_up: told the score after each measured epoch; whether to go no further.

    Raises:
      RunError: the loss or the scores became NaN or infinite.
      UserError: the settings don't suit the data, each other or the memory.
    """
    measure = Measure(config, split, peek=False)
    if config.method != "gcn":
        scorer = fit_baseline(config, split.train, console)
        return Candidate(measure.score("validation", scorer), None)
    check_memory(config, split.train)
    setup = build(config, split.train)
    state = setup.fresh_state()
    any_epoch = config.lr_schedule == "constant"
    best = Candidate(-math.inf, 0)
    scores: list[float] = []
    with console.progress(config.epochs * setup.graph.num_edges, description) as bar:
        for epoch in range(config.epochs):
            state, _ = setup.train_epoch(
                state,
                epoch,
                on_steps=lambda edges, loss: bar.update(edges, loss=loss),
            )
            done = epoch + 1
            if done < config.epochs and done % config.eval.every_epochs:
                continue
            scores.append(measure.score("validation", ranker(setup, state.params)))
            if scores[-1] > best.score or not any_epoch:
                best = Candidate(scores[-1], done)
            if done < config.epochs and give_up(done, scores[-1]):
                return dataclasses.replace(best, pruned=True)
            if any_epoch and measure.out_of_patience(scores):
                break
    return best
