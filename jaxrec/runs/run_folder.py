"""The paths of a run's folder, and of the folders that `evaluate --final` makes."""

import dataclasses
from pathlib import Path

# `evaluate --final` keeps what it measures in choice.json, beside a run's folder seed-<number> for
# each seed.
FROZEN_NAME, SEED_PREFIX = "choice.json", "seed-"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The paths of a run's folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration and the identity of the run."""
        return self.root / "config.json"

    @property
    def checkpoints(self) -> Path:
        """The Orbax checkpoints, a folder per step."""
        return self.root / "model.ckpt"

    @property
    def members(self) -> Path:
        """The members of a blend, a run's folder each without data of its own."""
        return self.root / "members"

    def member(self, name: str) -> "RunFolder":
        """Where a member of a blend is fitted."""
        return RunFolder(self.members / name)

    @property
    def for_use(self) -> "RunFolder":
        """What was chosen here, fitted to all listens, test included: to be used, not measured."""
        return RunFolder(self.root / "for-use")

    @property
    def fitted_to_all(self) -> Path:
        """Says of such a folder that it is one, and that it is whole."""
        return self.root / "fitted-to-all.json"

    @property
    def saved_model(self) -> Path:
        """Says of a folder that it holds a model that was saved, not a run."""
        return self.root / "saved-model.json"

    @property
    def users(self) -> Path:
        """The users' ids by index."""
        return self.root / "users.parquet"

    @property
    def items(self) -> Path:
        """The items' ids and names by index."""
        return self.root / "items.parquet"

    @property
    def interactions(self) -> Path:
        """Every interaction by part."""
        return self.root / "interactions.parquet"

    @property
    def events(self) -> Path:
        """The single listens of train's pairs, where they have times."""
        return self.root / "events.parquet"

    @property
    def metrics(self) -> Path:
        """Loss and metrics by epoch, a line of JSON each."""
        return self.root / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The final figures."""
        return self.root / "results.json"

    @property
    def per_user(self) -> Path:
        """The final figures of each user."""
        return self.root / "per_user.parquet"

    def view(self, seen: str) -> "RunFolder":
        """The final figures by another rule for what was known, where the part has such pairs."""
        return RunFolder(self.root / "seen" / seen)

    @property
    def views(self) -> Path:
        """The final figures by each of these rules, a folder each."""
        return self.root / "seen"

    @property
    def profile(self) -> Path:
        """A trace of some steps, where one was asked for."""
        return self.root / "profile"

    @property
    def bundle(self) -> Path:
        """What `export` makes of the run, to be deployed."""
        return self.root / "bundle"

    @property
    def curves(self) -> Path:
        """The picture of loss and recall by epoch."""
        return self.root / "curves.png"


def is_run_of_final(workdir: Path) -> bool:
    """Whether this is the folder of `--final` or a seed's in it: only that may write there."""
    folder = workdir.resolve()
    of_seed = folder.name.startswith(SEED_PREFIX) and (folder.parent / FROZEN_NAME).exists()
    return of_seed or (folder / FROZEN_NAME).exists()
