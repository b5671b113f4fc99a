"""What lies in a folder of prepared data, and by what it is known."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxrec.errors import UserError
from jaxrec.manifest import FILE_NAME, read_manifest

ABOUT = "prepared.json"


@dataclasses.dataclass(frozen=True)
class Layout:
    """The paths in a folder of prepared data.

    Attributes:
      root: the folder.
    """

    root: Path

    @property
    def about(self) -> Path:
        """From what it was made, how, and what was found: JSON."""
        return self.root / ABOUT

    @property
    def manifest(self) -> Path:
        """Size and SHA-256 of each file; written last."""
        return self.root / FILE_NAME

    @property
    def work(self) -> Path:
        """What is needed until it is whole."""
        return self.root / ".work"

    @property
    def splits(self) -> Path:
        """The parts that were cut of it, a folder for each way to cut."""
        return self.root / "splits"

    def ids(self, role: str) -> Path:
        """The ids of `user` or `item` by index, as `users.parquet`."""
        return self.root / f"{role}s.parquet"

    def array(self, name: str) -> Path:
        """An array, as `item.npy`."""
        return self.root / f"{name}.npy"


def is_prepared(path: str | Path | None) -> bool:
    """Whether a path is a folder of prepared data, finished or not."""
    if path is None:
        return False
    layout = Layout(Path(path))
    return layout.about.is_file() or layout.work.is_dir()


def read_about(path: str | Path) -> dict[str, Any]:
    """What is said of prepared data, when its files are there in their sizes.

    Raises:
      UserError: it isn't finished, or a file is missing or damaged.
    """
    layout = Layout(Path(path))
    if not layout.manifest.is_file():
        raise UserError(
            f"{path}: prepared data that are not finished; expected the same `prepare` command "
            "again first, which goes on where it was stopped"
        )
    entries = read_manifest(layout.root)
    if isinstance(entries, str):
        raise damaged(path, entries)
    for name, entry in entries.items():
        try:
            size = (layout.root / name).stat().st_size
        except OSError as error:
            raise damaged(path, f"{name}: {error.strerror}") from error
        if size != entry["bytes"]:
            raise damaged(path, f"{name}: {size:,} bytes, expected {entry['bytes']:,}")
    try:
        return dict(json.loads(layout.about.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise damaged(path, f"{ABOUT}: {error}") from error


def damaged(path: str | Path, reason: str) -> UserError:
    """What to say of prepared data that aren't as they were written."""
    return UserError(
        f"{path}: prepared data that are damaged ({reason}); expected them as `prepare` wrote "
        "them: remove the folder and prepare it again"
    )
