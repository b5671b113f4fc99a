"""What auto has found out, a line of JSON each: by it a search that was stopped goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxrec.errors import UserError
from jaxrec.runs.identity import first_difference

NAME = "auto.jsonl"


class Journal:
    """Answers by question, each kept in the file as soon as it is known.

    Attributes:
      path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        """Opens the journal, or begins one; the caller holds its folder's lock.

        Args:
          path: where it is.
          identity: what must agree for the search to go on; plain values.

        Raises:
          UserError: it is of another search, or damaged.
        """
        self.path = path
        self._answers: dict[str, Any] = {}
        if path is None:
            return
        rows = _read(path)
        if not rows:
            self._append({"identity": dict(identity)})
            return
        known = rows[0].get("identity", {})
        if difference := first_difference(known, identity):
            field, there, here = difference
            raise UserError(
                f"{path.parent} holds a search with {field} = {there}, this one has {here}; "
                "expected the same, or a --workdir of its own"
            )
        self._answers = {_key(row["question"]): row["answer"] for row in rows[1:]}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Mapping[str, Any]) -> Any | None:
        """The answer, or None where it isn't known yet."""
        return self._answers.get(_key(question))

    def put(self, question: Mapping[str, Any], answer: Any) -> None:
        """Keeps an answer, plain values; it is on the disk when this returns."""
        self._answers[_key(question)] = answer
        if self.path is not None:
            self._append({"question": dict(question), "answer": answer})

    def _append(self, row: Mapping[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _key(question: Mapping[str, Any]) -> str:
    return json.dumps(question, sort_keys=True)


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows; half a line, which a kill may leave at the end, is removed from the file."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with path.open("r+b") as file:
            file.truncate(whole)
    try:
        rows = [json.loads(line) for line in text[:whole].splitlines()]
        if not all("identity" in rows[0] if row is rows[0] else "question" in row for row in rows):
            raise ValueError
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: damaged; expected the journal that auto wrote, or another --workdir to start "
            "anew"
        ) from error
    return rows
