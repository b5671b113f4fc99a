"""A fitted model put into a folder of its own, whole, from which a run is opened."""

import shutil
from pathlib import Path

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import write_json
from jaxrec.models.model import Model
from jaxrec.report.console import Console
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.checkpoint_folder import saved_steps
from jaxrec.runs.lock import locked
from jaxrec.runs.record import open_run
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.saved_models import save_model

STEP = 1  # of the one checkpoint: a model that is kept whole has none of its own


def save_trained(workdir: Path, config: RunConfig, split: Split, model: Model) -> None:
    """Writes what `open_trained` needs, and nothing of how the model came about.

    The configuration comes last, as the sign of all: what is cut short can be saved again.

    Raises:
      UserError: the folder holds a run or a model already, or can't be written to.
      RunError: the model couldn't be saved.
    """
    folder = RunFolder(workdir)
    with locked(workdir, Console().warning):
        of_a_run = saved_steps(folder.checkpoints) and not folder.saved_model.exists()
        if folder.config.exists() or of_a_run or folder.members.is_dir():
            raise UserError(
                f"--workdir={workdir} holds a run or a model already; expected a folder of its own"
            )
        write_json(folder.saved_model, {"kind": model.kind, "method": config.method})
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        with Checkpoints(folder.checkpoints) as checkpoints:
            checkpoints.save(save_model(model), step=STEP, score=None)
        open_run(folder, config, split, steps_per_epoch={})
