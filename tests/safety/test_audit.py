"""The check for known vulnerabilities fails on some, and says so where it couldn't look."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit"
GOOD = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {"name": "other", "version": "1.0", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
UNKNOWN = {"name": "mine", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([GOOD], 0, "1 packages checked, 0 with known vulnerabilities\n"),
        ([GOOD, UNKNOWN], 0, "1 packages checked, 0 with known vulnerabilities; NOT checked: mine"),
        ([GOOD, BAD], 1, "other 1.0: CVE-1, CVE-2\n2 packages checked, 1 with known"),
        ([UNKNOWN, UNKNOWN], 0, "SKIPPED: the packages were NOT checked for known vulnerabilities"),
        ([], 0, "SKIPPED: the packages were NOT checked for known vulnerabilities"),
        (None, 0, "SKIPPED: the packages were NOT checked for known vulnerabilities: no index"),
    ],
)
def test_what_the_audit_makes_of_a_report(
    tmp_path: Path, packages: list[object] | None, status: int, said: str
) -> None:
    answer = "" if packages is None else json.dumps({"dependencies": packages})
    tool = tmp_path / "pip-audit"
    # The last argument is the report's name.
    tool.write_text(f'#!/usr/bin/env bash\nprintf %s {shlex.quote(answer)} >"${{@: -1}}"\nexit 1\n')
    tool.chmod(0o755)
    environment = tmp_path / "venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(sys.executable)
    found = subprocess.run(
        [SCRIPT, environment.parent],
        env=os.environ | {"PIP_AUDIT": str(tool)},
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stderr) == (status, "")
    assert said in found.stdout
