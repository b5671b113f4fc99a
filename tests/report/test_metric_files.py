"""The log of metrics: whole rows, resumed after an epoch, and readable by TensorBoard."""

import json

import pytest
from tensorboardX.proto.event_pb2 import Event

from jaxrec.report.metric_files import MetricLog
from tests.configurations import read_metrics


def rows(count, start=1):
    return [{"epoch": e, "loss": 1 / e, "part/recall@10": 0.1 * e} for e in range(start, count + 1)]


def write(workdir, new_rows, **options):
    with MetricLog(workdir, **options) as log:
        for row in new_rows:
            log.append(row)
        return log.history()


def scalars(workdir):
    """{(name, step): value} over all event files, read by the format's own framing."""
    found = {}
    for path in sorted((workdir / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def test_a_row_is_a_line_of_json_and_on_disk_at_once(tmp_path):
    with MetricLog(tmp_path) as log:
        for done, row in enumerate(rows(3), start=1):
            log.append(row)
            lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            assert [json.loads(line) for line in lines] == rows(done)


def test_history_is_what_the_file_holds(tmp_path):
    assert write(tmp_path, rows(3)) == rows(3) == read_metrics(tmp_path / "metrics.jsonl")


def test_resuming_keeps_the_rows_of_the_epochs_done_and_drops_later_ones(tmp_path):
    write(tmp_path, rows(5))
    assert write(tmp_path, rows(4, start=4), history=rows(3)) == rows(4)
    assert read_metrics(tmp_path / "metrics.jsonl") == rows(4)


def test_starting_anew_keeps_nothing(tmp_path):
    write(tmp_path, rows(5))
    assert write(tmp_path, []) == []


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_last_line_cut_short_is_dropped(tmp_path, cut):
    write(tmp_path, rows(3))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_metrics(path) == rows(2)
    assert write(tmp_path, rows(3, start=3), history=rows(2)) == rows(3)
    assert read_metrics(path) == rows(3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused_and_nothing_is_written(tmp_path, value):
    with MetricLog(tmp_path) as log:
        with pytest.raises(ValueError, match="JSON"):
            log.append({"epoch": 1, "loss": value})
        assert log.history() == []
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_numbers_become_tensorboard_scalars_by_epoch(tmp_path):
    write(tmp_path, [{"epoch": 1, "loss": 0.5, "note": "text", "none": None}])
    write(tmp_path, [{"epoch": 2, "loss": 0.25}], history=rows(1))
    assert scalars(tmp_path) == {("loss", 1): 0.5, ("loss", 2): 0.25}
