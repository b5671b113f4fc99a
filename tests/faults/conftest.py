"""What the tests with injected faults share: compiled programs and a reference."""

from pathlib import Path

import pytest

from tests.faults.kills import Reference, reference_run
from tests.faults.runs import Outcome, Runs
from tests.nursery import Nursery


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Runs:
    """Tiny runs in folders of their own."""
    return Runs(tmp_path_factory.mktemp("faults"), nursery)


@pytest.fixture(scope="session")
def network_reference(runs: Runs) -> Reference:
    """A run of the network that nothing befalls."""
    return reference_run(runs, "network")


@pytest.fixture(scope="session")
def reference(network_reference: Reference) -> Outcome:
    """What it comes to."""
    return network_reference.outcome


@pytest.fixture(scope="session")
def reference_workdir(runs: Runs, reference: Outcome) -> Path:
    """The finished folder of such a run; not to be changed."""
    return runs.folder / "reference"
