"""What makes a run this one: the fields and data that must agree for it to go on in a folder."""

import hashlib
from collections.abc import Mapping
from typing import Any

from jaxrec.config import RunConfig, flat_fields, to_json
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.runs.methods import method_of
from jaxrec.train.carrying import Start

# Where something lies on a machine, and what is shown, may differ between processes.
_PLACES = ("data.path", "data.test_path", "data.names_path", "quiet")

STARTED_FROM = "--init_from (SHA-256)"
FINGERPRINT = "data ({} interactions, SHA-256)"


def identity(config: RunConfig, split: Split) -> dict[str, Any]:
    """All that a run's lists depend on, by field."""
    return training_identity(config, split) | untrained_identity(config)


def untrained_identity(config: RunConfig) -> dict[str, Any]:
    """What of it may change between two starts: how long to train, what only the ranking reads."""
    method = method_of(config)
    return method.ranking(config) | method.frozen(config) | _ranked_by(config)


def training_identity(
    config: RunConfig, split: Split, start: Start | None = None
) -> dict[str, Any]:
    """What must agree for a run to go on in a folder, by field.

    The data count by content, not by where they lie. Left out is what may change between two
    starts: how long to train, what only the ranking depends on, what to measure, when to save.
    """
    fields = {"method": config.method} | method_of(config).identity(config)
    if start is not None:
        fields[STARTED_FROM] = start.sha256
    return fields | _data_identity(config, split)


def _data_identity(config: RunConfig, split: Split) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "data.weight": config.data.weight,
        "history.learnt_half_life_days": config.history.learnt_half_life_days,
    }
    for name, fingerprint in split.fingerprints.items():
        fields[FINGERPRINT.format(name)] = fingerprint
    for name in ("known", "newcomers"):
        if (part := getattr(split, name)) is not None:
            fields[FINGERPRINT.format(name)] = part.fingerprint()
    plays = split.train.plays.astype("<f8").tobytes()
    fields["data (train plays, SHA-256)"] = hashlib.sha256(plays).hexdigest()
    if (events := split.train.events) is not None:
        digest = hashlib.sha256(events.timestamp.astype("<i8").tobytes())
        digest.update(f"{events.moment}".encode())
        fields["data (train times, SHA-256)"] = digest.hexdigest()
    return fields


def _ranked_by(config: RunConfig) -> dict[str, Any]:
    """How histories are weighed, which no fit depends on."""
    return {
        "history.weight": config.history.weight,
        "history.half_life_days": config.history.half_life_days,
    }


def scored_by(config: RunConfig) -> dict[str, Any]:
    """What the scores that early stopping goes by depend on, beside what is trained."""
    scores = {
        "eval.seen": config.eval.seen,
        "eval.metric": config.eval.metric,
        "eval.users": config.eval.users,
    }
    return scores | method_of(config).ranking(config) | _ranked_by(config)


def check_alike(config: RunConfig, split: Split, start: Start | None = None) -> None:
    """Makes sure that all processes of a run have the same settings and data, wherever these lie.

    Raises:
      UserError: one has others.
    """
    if together.count() == 1:
        return  # the digests of all data take their time
    settings = flat_fields(to_json(config))
    own = {name: value for name, value in settings.items() if name not in _PLACES}
    own |= {} if start is None else {STARTED_FROM: start.sha256}
    first, *others = together.gathered("settings and data", own | _data_identity(config, split))
    for number, other in enumerate(others, start=1):
        if difference := first_difference(first, other):
            field, there, here = difference
            raise UserError(
                f"process {number} has {field} = {here}, process 0 has {there}; expected the same "
                "command with the same data for every process"
            )


def first_difference(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """The first field that two records don't agree in, or None: `method`, then by alphabet.

    Returns:
      The field, with those of groups written `group.field`, and both values, each short enough for
      a line; None stands for a field that isn't there.
    """
    flat = _flatten(first), _flatten(second)
    fields = flat[0].keys() | flat[1].keys()
    for field in sorted(fields, key=lambda name: (name != "method", name)):
        values = [each.get(field) for each in flat]
        if values[0] != values[1]:
            return field, _short(values[0]), _short(values[1])
    return None


def _flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """By whole names, and as JSON has them, where there are no tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flat_fields(record).items()
    }


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12] + "…"
