"""Which state of a run a bundle is of, told by a digest."""

import hashlib
from pathlib import Path

from jaxrec.runs.run_folder import RunFolder


def source_of(workdir: Path) -> str:
    """What changes whenever `export` would find something else in a run's folder.

    Files that say what there is are read, and checkpoints counted; no array is.
    """
    digest = hashlib.sha256()
    for folder in (RunFolder(workdir), RunFolder(workdir).for_use):
        for path in (folder.config, folder.results, folder.fitted_to_all, folder.saved_model):
            digest.update(path.read_bytes() if path.exists() else b"-")
        for checkpoints in sorted(folder.root.rglob(folder.checkpoints.name)):
            digest.update(repr(sorted(path.name for path in checkpoints.iterdir())).encode())
    return digest.hexdigest()
