"""Requests made from the service's own OpenAPI schema, right and wrong ones: never a 5xx.

JAXREC_SCHEMA_REQUESTS says how many; docs/service.md has what 10,000 of them came to.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.serve.bundle import write_bundle
from jaxrec.serve.ids import item_table
from tests.serve.bundles import HISTORIES, NAMES, small_bundle
from tests.serve.test_service import Service

schemathesis = pytest.importorskip(
    "schemathesis", reason="needs requirements-browser.txt: requests are made by schemathesis"
)
hypothesis = pytest.importorskip("hypothesis")

REQUESTS = int(os.environ.get("JAXREC_SCHEMA_REQUESTS", "200"))
MOST_GROWTH = 50_000  # kB


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose ids are the small numbers that generators try first."""
    folder = tmp_path_factory.mktemp("schema") / "bundle"
    names = np.array(NAMES, object)
    items = item_table(IdMap(np.arange(len(NAMES)), names))
    users = pa.table({"id": np.arange(len(HISTORIES))})
    write_bundle(folder, dataclasses.replace(small_bundle(), items=items, users=users))
    running = Service(folder)
    yield running
    running.stop()


def own_memory(service: Service) -> int:
    """The service's memory beside mapped files, kB."""
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc: the memory can't be seen")
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status.read_text())[0])


def test_no_request_ends_in_a_failure_and_the_memory_stays_bounded(service: Service) -> None:
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as of_openapi

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]
    modes = list(schemathesis.GenerationMode)
    asked: collections.Counter[int] = collections.Counter()
    wanted = (
        checks.not_a_server_error,
        of_openapi.status_code_conformance,
        of_openapi.content_type_conformance,
        of_openapi.response_schema_conformance,
    )

    def ask(operation: Any, mode: Any, count: int) -> None:
        @hypothesis.settings(
            max_examples=count,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask_one(case: Any) -> None:
            response = case.call()
            asked[response.status_code] += 1
            case.validate_response(response, checks=wanted)

        ask_one()

    # Those without a parameter have one request alone.
    varied = [each for each in operations if each.body or each.query]
    share = -(-REQUESTS // (len(varied) * len(modes)))
    ask(varied[0], modes[0], min(share, 50))
    before = own_memory(service)
    for operation in varied:
        for mode in modes:
            ask(operation, mode, share)
    for operation in set(operations) - set(varied):
        ask(operation, modes[0], 1)
    print(f"{asked.total():,} requests by status: {dict(asked)}")
    assert asked.total() > REQUESTS * 0.9
    assert asked[200] > 0 and asked[422] > 0
    assert not [status for status in asked if status >= 500]
    assert own_memory(service) - before < MOST_GROWTH
    assert "Traceback" not in service.said()
    assert service.ask("/health")["status"] == "ok"
