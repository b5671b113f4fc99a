"""What a guard passes on of what its process says: why it ends, whatever was said before."""

import os
import subprocess
import sys

import pytest

from tests.faults.groups import free_port
from tests.nursery import ROOT

PROGRAM = """
import os, sys
from jaxrec.hosts.guard import guarded
from jaxrec.hosts.watch import Patience

def work(link):
    link.send("place", index=0, count=1, host="127.0.0.1", port=int(sys.argv[1]))
    while not link.receive():
        pass
    os.write(2, sys.argv[3].encode())
    return int(sys.argv[2])

sys.exit(guarded(work, Patience(30.0, 20.0)))
"""
TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
ValueError: of a thread that nobody waits for
"""


def said_by(status: int, words: str) -> str:
    """What is heard of process 0, alone, that says something on standard error and ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(free_port()), str(status), words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("status", "why", "after"),
    [
        (2, "error: config.data.path is 'x'; no such file", TRACEBACK),
        (1, "failed: a checkpoint couldn't be saved: No space left on device", ""),
        (143, "stopped by SIGTERM: step 5 is saved", "Exception ignored in: <function x>\n"),
        (143, "stopped after 30 s (config.checkpoint.grace_seconds); the run goes on", ""),
        (130, "interrupted; run the same command again to go on", TRACEBACK),
    ],
)
def test_why_process_0_ends_is_said_whatever_its_threads_said(
    status: int, why: str, after: str
) -> None:
    lines = said_by(status, f"warning: before\n{TRACEBACK}{why}\n{after}").splitlines()
    assert lines == ["warning: before", why]


def test_pages_are_shown_where_nothing_else_explains_the_end() -> None:
    *pages, last = said_by(1, TRACEBACK).splitlines()
    assert pages == TRACEBACK.splitlines()
    assert last.startswith("failed: process 0 of 1 on ")
