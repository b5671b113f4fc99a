"""What is said of results: a score that is too good is doubted aloud."""

import pyarrow as pa
import pytest

from jaxrec.commands.show import show_results
from jaxrec.report.console import Console
from jaxrec.runs.results import Results


@pytest.mark.parametrize(
    ("part", "recall", "doubted"),
    [("test", 0.91, True), ("test", 0.89, False), ("reconstruction", 0.99, False)],
)
def test_a_score_that_is_too_good_is_doubted(
    capsys: pytest.CaptureFixture[str], part: str, recall: float, doubted: bool
) -> None:
    figure = {"mean": recall, "low": recall, "high": recall, "deviation": None}
    results = Results(
        part=part,
        protocol={"users": 100},
        metrics={"model": {"recall@10": figure}, "most_popular": {"recall@10": figure}},
        beyond_accuracy={"model": {}, "most_popular": {}},
        per_user=pa.table({"user": ["a"]}),
    )
    show_results(results, Console(quiet=True))
    said = capsys.readouterr().err
    assert ("too good" in said) == doubted
    assert not doubted or f"recall@10 is {recall:.3f}" in said
