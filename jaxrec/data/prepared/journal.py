"""What of the preparation is done: a file per step, written when the step's own files are."""

import json
from pathlib import Path
from typing import Any

from jaxrec.files import remove_leftovers, write_json


class Journal:
    """The steps done in a folder, each with what it found out."""

    def __init__(self, folder: Path) -> None:
        """Opens it, or begins one; what a killed process has left unfinished there is removed."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)

    def found(self, step: str) -> dict[str, Any] | None:
        """What a step has found out; None where it isn't done."""
        try:
            return dict(json.loads((self._folder / f"{step}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def done(self, step: str, found: dict[str, Any]) -> dict[str, Any]:
        """Notes that a step's files are there, and what it found out: ready for JSON."""
        write_json(self._folder / f"{step}.json", found)
        return found
