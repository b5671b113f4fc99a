"""What the tests with injected faults share: compiled programs and a reference."""

from pathlib import Path

import pytest

from tests.faults.kills import reference_run
from tests.faults.runs import Outcome, Runs
from tests.nursery import Nursery


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Runs:
    """Tiny runs in folders of their own."""
    return Runs(tmp_path_factory.mktemp("faults"), nursery)


@pytest.fixture(scope="session")
def reference_with_seconds(runs: Runs) -> tuple[Outcome, float]:
    return reference_run(runs)


@pytest.fixture(scope="session")
def reference(reference_with_seconds: tuple[Outcome, float]) -> Outcome:
    """What a run comes to that nothing befalls."""
    return reference_with_seconds[0]


@pytest.fixture(scope="session")
def reference_workdir(runs: Runs, reference: Outcome) -> Path:
    """The finished folder of such a run; not to be changed."""
    return runs.folder / "reference"
