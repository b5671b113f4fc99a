"""What a person sees: plain aligned lines in a log, a moving bar on a terminal."""

import io
import re
from pathlib import Path

import pytest

from jaxrec.report import console as console_module
from jaxrec.report.console import Console, format_value


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No setting of the machine that runs the tests decides what is written."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def use_everything(console):
    console.note("a note")
    with console.progress(total=100, description="epoch 1/2") as progress:
        for _ in range(10):
            progress.update(10, loss=0.5)
    console.epoch_row({"epoch": 1, "loss": 0.5})
    console.results("Held out", {"model": {"recall@10": (0.5, 0.4, 0.6)}})
    console.sample("17", ["a song"], ["another"])
    console.files({Path("run/results.json"): "the figures"})
    console.warning("look out")


def test_a_log_has_no_control_characters_and_no_trailing_spaces():
    stream = io.StringIO()
    use_everything(Console(stream=stream))
    text = stream.getvalue()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "warning: look out" in text


def test_a_terminal_has_a_bar_with_loss_speed_and_time_left():
    stream = Terminal()
    use_everything(Console(stream=stream))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert re.search(r"epoch 1/2 .*100% loss 0.5000  [\d,]+ edges/s .* left", text)


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_log_stays_plain_where_colours_are_forced(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    use_everything(Console(stream=stream))
    assert "\x1b" not in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    use_everything(Console(stream=stream))
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_quiet_writes_warnings_only(kind):
    stream = kind()
    use_everything(Console(quiet=True, stream=stream))
    assert stream.getvalue() == "warning: look out\n"


def test_warnings_go_to_standard_error(capsys):
    console = Console()
    console.note("a note")
    console.warning("look out")
    assert capsys.readouterr() == ("a note\n", "warning: look out\n")


def test_notes_and_warnings_may_have_several_lines():
    stream = io.StringIO()
    console = Console(stream=stream)
    console.note("one\n  two")
    console.warning("three\n  four")
    assert stream.getvalue() == "one\n  two\nwarning: three\n  four\n"


def test_epochs_stand_below_each_other_under_one_header():
    stream = io.StringIO()
    console = Console(stream=stream)
    console.epoch_row({"epoch": 1, "loss": 0.5, "validation/recall@10": None})
    console.epoch_row({"epoch": 2, "loss": 0.25, "validation/recall@10": 0.125})
    console.epoch_row({"epoch": 10, "loss": 0.125})
    assert stream.getvalue().splitlines() == [
        "   epoch      loss  validation/recall@10",
        "       1    0.5000                     -",
        "       2    0.2500                0.1250",
        "      10    0.1250                     -",
    ]


def test_a_new_figure_brings_a_new_header():
    stream = io.StringIO()
    console = Console(stream=stream)
    console.epoch_row({"epoch": 1})
    console.epoch_row({"epoch": 2, "loss": 0.5})
    assert stream.getvalue().splitlines() == [
        "   epoch",
        "       1",
        "   epoch      loss",
        "       2    0.5000",
    ]


def test_tables_align_text_left_and_numbers_right_by_width_on_screen():
    stream = io.StringIO()
    rows = [["宇多田", 1], ["Björk", 1234], ["[bold]x", None]]
    Console(stream=stream).table("Songs", ["title", "plays"], rows)
    assert stream.getvalue().splitlines() == [
        "",
        "Songs",
        "title    plays",
        "宇多田       1",
        "Björk    1,234",
        "[bold]x      -",
    ]


def test_results_stand_beside_each_other_with_their_intervals():
    stream = io.StringIO()
    figures = {
        "model": {"recall@10": (0.5, 0.45, 0.55), "coverage@10": (0.9,)},
        "most popular": {"recall@10": (0.1, 0.08, 0.12)},
    }
    Console(stream=stream).results("Held out", figures)
    assert stream.getvalue().splitlines() == [
        "",
        "Held out",
        "             model                    most popular",
        "recall@10    0.5000 [0.4500, 0.5500]  0.1000 [0.0800, 0.1200]",
        "coverage@10  0.9000                   -",
    ]


def test_a_sample_shows_both_lists_and_clips_long_titles():
    stream = io.StringIO()
    Console(stream=stream).sample("17", ["x" * 100], ["first", "second"])
    assert stream.getvalue().splitlines()[1:] == [
        "Listener 17",
        "listened to".ljust(62) + "recommended",
        "x" * 59 + "…" + "  1. first",
        " " * 62 + "2. second",
    ]


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_paths_are_never_cut(kind):
    stream = kind()
    path = Path("folder" * 50, "results.json")
    Console(stream=stream).files({path: "the figures"})
    assert f"{path}  the figures\n" in stream.getvalue()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_data_cannot_control_the_terminal(kind):
    stream = kind()
    console = Console(stream=stream)
    bad = "a\x1b]0;title\x07\r\n\x9b31mb"
    console.note(bad)
    console.warning(bad)
    console.sample(bad, [bad], [bad])
    console.table(bad, [bad], [[bad]])
    assert not set("\x07\r\x9b") & set(stream.getvalue()) and "\x1b]" not in stream.getvalue()


def test_what_an_encoding_lacks_becomes_a_question_mark():
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", newline="\n") as stream:
        Console(stream=stream).note("Björk")
        assert raw.getvalue() == b"Bj?rk\n"


def test_a_log_hears_of_a_long_epoch_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(stream=stream).progress(total=1200, description="epoch 1/2") as progress:
        for _ in range(12):
            now[0] += 20
            progress.update(100, loss=0.5)
    assert stream.getvalue().splitlines() == [
        "epoch 1/2: 25%  loss 0.5000  5 edges/s  3 min left",
        "epoch 1/2: 50%  loss 0.5000  5 edges/s  2 min left",
        "epoch 1/2: 75%  loss 0.5000  5 edges/s  1 min left",
    ]


def test_a_log_hears_of_a_long_download_whose_size_nobody_knows(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(stream=stream).progress(None, "downloading a.zip", "bytes") as progress:
        for _ in range(4):
            now[0] += 30
            progress.update(45_000_000)
    assert stream.getvalue().splitlines() == [
        "downloading a.zip: 90,000,000 bytes  1.5 MB/s",
        "downloading a.zip: 180,000,000 bytes  1.5 MB/s",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0.0000"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5000"),
        (1.5e-6, "1.5e-06"),
        (12.345, "12.3"),
        (12345.6, "12,346"),
        ("text", "text"),
        (True, "True"),
    ],
)
def test_figures_read_well(value, text):
    assert format_value(value) == text
