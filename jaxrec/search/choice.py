"""A choice: the settings that validation has chosen, as `tune` hands them to `--final`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig, read_config, to_json
from jaxrec.errors import UserError
from jaxrec.files import write_json

CHOICE_NAME = "best_config.json"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Settings, and what they were chosen by.

    Attributes:
      config: the whole configuration.
      validation: score, metric, trials, space and protocol of the search, ready for JSON; None
        where the settings come from elsewhere.
    """

    config: RunConfig
    validation: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """As a file has it, which `read_choice` takes back."""
        return {"config": to_json(self.config), "validation": self.validation}


def write_choice(workdir: Path, choice: Choice) -> None:
    """Writes `best_config.json`, whole or not at all."""
    write_json(workdir / CHOICE_NAME, choice.to_json())


def read_choice(workdir: Path) -> Choice:
    """Reads what `write_choice` wrote.

    Raises:
      UserError: there is none, or it is damaged or of other fields than there are now.
    """
    path = workdir / CHOICE_NAME
    if not path.exists():
        raise UserError(
            f"--workdir={workdir}: no {CHOICE_NAME} there; expected the folder of a `tune`, or "
            "--config=FILE with the settings that were chosen"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        config, validation = values["config"], values["validation"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: unreadable ({type(error).__name__}); expected what `tune` wrote"
        ) from error
    try:
        return Choice(read_config(config), validation)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
