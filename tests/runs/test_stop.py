"""A request to stop is raised at once, or noted while the work defers it.

What ends the process is tested on real ones, in tests/faults/test_stopping.py.
"""

import signal

import pytest

from jaxrec.runs.stop import SIGNALS, Stopped, StopRequest


@pytest.mark.parametrize(
    ("signum", "status", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_raises_at_once(signum: signal.Signals, status: int, name: str) -> None:
    with pytest.raises(Stopped, match=f"stopped by {name}: ") as caught, StopRequest(60):
        signal.raise_signal(signum)
    assert caught.value.status == status


def test_deferred_it_is_noted_and_raised_at_the_end() -> None:
    went_on = False
    with StopRequest(60) as stop:
        assert stop.asked is None
        with pytest.raises(Stopped), stop.deferring():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # a second one changes nothing
            assert stop.asked == signal.SIGTERM
            went_on = True
    assert went_on


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with StopRequest(60):
        assert [signal.getsignal(each) for each in SIGNALS] != before
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_no_except_exception_catches_it() -> None:
    assert not issubclass(Stopped, Exception)
