"""Saves are due every so many epochs, steps or minutes."""

import pytest

from jaxrec.runs.cadence import Cadence, Every, parse_every


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("1 epoch", Every(1, "epoch")),
        ("3 epochs", Every(3, "epoch")),
        ("500 steps", Every(500, "step")),
        ("10 minutes", Every(10, "minute")),
    ],
)
def test_intervals_are_read(text: str, every: Every) -> None:
    assert parse_every(text) == every


@pytest.mark.parametrize("text", ["", "epoch", "0 epochs", "-1 step", "1.5 steps", "1  step", "5s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number of epochs, steps or minutes"):
        parse_every(text)


def test_epochs_count_at_their_ends_only() -> None:
    cadence = Cadence(Every(2, "epoch"), step=0)
    assert not cadence.due(1000)
    assert [cadence.due(10 * n, epochs_done=n) for n in (1, 2, 3, 4)] == [False, True, False, True]


def test_steps_count_from_multiples_wherever_the_run_began() -> None:
    cadence = Cadence(Every(10, "step"), step=7)
    assert not cadence.due(9)
    assert cadence.due(10)
    assert cadence.due(16, epochs_done=1)
    cadence.saved(16)
    assert not cadence.due(19)
    assert cadence.due(35)


def test_minutes_count_from_the_last_save() -> None:
    now = 1000.0
    cadence = Cadence(Every(2, "minute"), step=0, clock=lambda: now)
    now += 119
    assert not cadence.due(5)
    now += 1
    assert cadence.due(5)
    cadence.saved(5)
    assert not cadence.due(6, epochs_done=1)
