"""A trained run, opened from its folder alone."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jaxrec.commands.fit import fit_baseline
from jaxrec.commands.ranker import ranker
from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.gcn.message_passing import why_not
from jaxrec.gcn.model import Embeddings
from jaxrec.rank.top_k import Scorer
from jaxrec.report.console import Console
from jaxrec.train.checkpoint import Checkpoints
from jaxrec.train.run_folder import RunFolder, load_run
from jaxrec.train.setup import build


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A run with what it has learnt.

    Attributes:
      config: the run's configuration.
      split: its interactions.
      model: the final embeddings of a checkpoint, or a scorer: theirs with walks, or a
        baseline's.
      step: the checkpoint's step; None for a baseline.
    """

    config: RunConfig
    split: Split
    model: Embeddings | Scorer
    step: int | None


def open_trained(workdir: Path, step: int | None, *, need_embeddings: bool = False) -> Trained:
    """Opens a run: by default its best checkpoint if it stops early, else its last.

    A baseline has no checkpoints: it is fitted again, to the same interactions.

    Args:
      workdir: the run's folder.
      step: a checkpoint's step, 0 for the untrained model, None for the default.
      need_embeddings: whether a scorer won't do.

    Raises:
      UserError: no run or no such checkpoint there, a damaged one, or a baseline that won't do.
    """
    folder = RunFolder(workdir)
    run = load_run(folder)
    if run.config.method != "gcn":
        if need_embeddings:
            raise UserError(
                f"--workdir={workdir}: a run of {run.config.method}, which has no vectors of "
                "songs to compare; expected a run with config.method gcn"
            )
        if step is not None:
            raise UserError(
                f"--step={step}: a run of {run.config.method}, which has no checkpoints; "
                "expected no --step"
            )
        scorer = fit_baseline(run.config, run.split.train, Console(quiet=run.config.quiet))
        return Trained(run.config, run.split, scorer, step=None)
    config = run.config
    if why_not(config.model.kernel, jax.default_backend()):  # it was trained on another machine
        config = with_fields(config, {"model.kernel": "auto"})
    setup = build(config, run.split.train)
    if step == 0:
        params = setup.fresh_state().params
    elif not folder.checkpoints.is_dir():
        raise UserError(f"--workdir={workdir}: no checkpoint there yet; expected a trained run")
    else:
        with Checkpoints(folder.checkpoints, read_only=True) as checkpoints:
            if step in checkpoints.damaged:
                raise UserError(
                    f"--step={step}: damaged ({checkpoints.damaged[step]}); expected one of "
                    f"{', '.join(map(str, [0, *checkpoints.steps()]))}"
                )
            for damage in checkpoints.damages():
                Console().warning(f"damaged checkpoint, not used: {damage}")
            steps = checkpoints.steps()
            if step is None:
                best = checkpoints.best_step() if run.config.eval.patience else None
                step = checkpoints.latest_step() if best is None else best
            if step is None or step not in steps:
                there = ", ".join(map(str, [0, *steps]))
                raise UserError(f"--step={step}: no such checkpoint; expected one of {there}")
            params = checkpoints.restore(step, setup.abstract_state()).params
    model = setup.final_embeddings(params) if need_embeddings else ranker(setup, params)
    return Trained(run.config, run.split, model, step)


def known_items(split: Split) -> np.ndarray:
    """[num_items] bool: the songs that train knows; the others can't be recommended."""
    return np.bincount(split.train.item, minlength=split.train.num_items) > 0
