"""The picture of the curves: a whole PNG whatever was measured."""

import struct

import matplotlib.figure
import pytest

from jaxrec.report import curves
from jaxrec.report.curves import draw_curves


def history(epochs, *keys):
    return [{"epoch": e, **dict.fromkeys(keys, 1 / e)} for e in range(1, epochs + 1)]


@pytest.fixture
def figure(monkeypatch):
    """The figures made, so that a test can look at what was drawn."""
    made = []

    class Recorded(matplotlib.figure.Figure):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(curves, "Figure", Recorded)
    return made


@pytest.mark.parametrize("epochs", [0, 1, 2, 100])
@pytest.mark.parametrize("keys", [(), ("loss",), ("loss", "reconstruction/recall@10")])
def test_any_history_gives_a_png_of_the_same_size(tmp_path, epochs, keys):
    path = tmp_path / "curves.png"
    draw_curves(history(epochs, *keys), path, most_popular=0.1)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (1440, 544)
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_draws_each_part_that_was_measured_beside_most_popular(tmp_path, figure):
    rows = history(3, "loss", "reconstruction/ndcg@5", "test/ndcg@5", "test/recall@5")
    draw_curves(rows, tmp_path / "a.png", metric="ndcg@5", most_popular=0.125)
    left, right = figure[0].axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[1, 1 / 2, 1 / 3]]
    *parts, reference = right.lines
    assert [line.get_label() for line in parts] == [
        "reconstruction (songs trained on)",
        "held out (test)",
    ]
    assert all(line.get_xdata().tolist() == [1, 2, 3] for line in parts)
    assert list(reference.get_ydata()) == [0.125, 0.125]
    assert right.get_title(loc="left") == "NDCG@5"
    assert right.get_ylim()[0] == 0


def test_an_epoch_that_was_not_measured_leaves_no_gap(tmp_path, figure):
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 0.5}]
    draw_curves(rows, tmp_path / "a.png")
    (line,) = figure[0].axes[0].lines
    assert line.get_xdata().tolist() == [1, 3]


def test_says_so_where_nothing_was_measured(tmp_path, figure):
    draw_curves(history(2, "loss"), tmp_path / "a.png")
    assert [[text.get_text() for text in axes.texts] for axes in figure[0].axes] == [
        [],
        ["not measured"],
    ]


def test_epochs_are_marked_by_whole_numbers(tmp_path, figure):
    draw_curves(history(3, "loss"), tmp_path / "a.png")
    low, high = figure[0].axes[0].get_xlim()
    ticks = [tick for tick in figure[0].axes[0].get_xticks() if low <= tick <= high]
    assert ticks == [1, 2, 3]


def test_the_same_history_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_curves(history(3, "loss", "test/recall@10"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_failure_leaves_the_former_picture(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"former")

    def fail(*args, **options):
        raise OSError("no space left")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space"):
        draw_curves(history(1, "loss"), path)
    assert path.read_bytes() == b"former"
    assert len(list(tmp_path.iterdir())) == 1
