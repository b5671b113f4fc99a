"""Free memory is the machine's, or what the tightest of the groups around a process leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxrec.host_memory import free_bytes

GIB = 1 << 30
V2_MOUNT = "41 31 0:38 {inside} /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {inside} /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 {inside} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
)
UNLIMITED_V1 = 9223372036854771712


class Machine:
    """A machine with 16 GiB free, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", f"MemTotal: 99 kB\nMemAvailable:  {16 << 20} kB\n")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text + "\n")

    def v2(self, own: str, inside: str = "/") -> None:
        self.write("proc/self/cgroup", f"0::{own}")
        self.write("proc/self/mountinfo", V2_MOUNT.format(inside=inside))

    def v1(self, own: str, inside: str = "/") -> None:
        self.write("proc/self/cgroup", f"9:name=systemd:/\n4:cpu,memory:{own}\n1:cpuset:/\n0::/")
        self.write("proc/self/mountinfo", V1_MOUNTS.format(inside=inside))

    def group_v2(self, group: str, limit: int | str, used: int, cached: int = 0) -> None:
        folder = f"sys/fs/cgroup/{group}"
        self.write(f"{folder}/memory.max", str(limit))
        self.write(f"{folder}/memory.current", str(used))
        self.write(f"{folder}/memory.stat", f"anon 5\ninactive_file {cached}\nactive_file 0")

    def group_v1(self, group: str, limit: int, used: int, cached: int = 0) -> None:
        folder = f"sys/fs/cgroup/memory/{group}"
        self.write(f"{folder}/memory.limit_in_bytes", str(limit))
        self.write(f"{folder}/memory.usage_in_bytes", str(used))
        own = "inactive_file 7\nactive_file 7"  # without the groups below
        self.write(f"{folder}/memory.stat", f"{own}\ntotal_active_file {cached}")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_groups_it_is_the_machines(machine: Machine) -> None:
    assert free_bytes(machine.root) == 16 * GIB


def test_a_container_sees_its_own_group_as_the_root(machine: Machine) -> None:
    machine.v2("/")
    machine.group_v2("", 4 * GIB, used=1 * GIB)
    assert free_bytes(machine.root) == 3 * GIB


def test_files_that_are_cached_count_as_free(machine: Machine) -> None:
    machine.v2("/")
    machine.group_v2("", 4 * GIB, used=4 * GIB, cached=3 * GIB)
    assert free_bytes(machine.root) == 3 * GIB
    machine.v1("/")
    machine.group_v1("", 4 * GIB, used=4 * GIB, cached=2 * GIB)
    assert free_bytes(machine.root) == 2 * GIB


def test_the_tightest_of_nested_groups_counts(machine: Machine) -> None:
    machine.v2("/slice/job")
    machine.group_v2("slice", 8 * GIB, used=6 * GIB)
    machine.group_v2("slice/job", 4 * GIB, used=1 * GIB)
    assert free_bytes(machine.root) == 2 * GIB
    machine.group_v2("slice", "max", used=6 * GIB)
    assert free_bytes(machine.root) == 3 * GIB
    machine.group_v2("slice/job", "max", used=1 * GIB)
    assert free_bytes(machine.root) == 16 * GIB


def test_the_groups_of_version_1_are_heeded_too(machine: Machine) -> None:
    machine.v1("/docker/1234/job")
    machine.group_v1("", UNLIMITED_V1, used=30 * GIB)
    machine.group_v1("docker/1234", 4 * GIB, used=3 * GIB)
    machine.group_v1("docker/1234/job", UNLIMITED_V1, used=2 * GIB)
    assert free_bytes(machine.root) == 1 * GIB


@pytest.mark.parametrize("own", ["/docker/1234", "/docker/1234/job", "/elsewhere"])
def test_a_container_that_sees_a_part_of_the_tree_finds_its_group(
    machine: Machine, own: str
) -> None:
    for use in (machine.v1, machine.v2):
        use(own, inside="/docker/1234")
    machine.group_v2("", 4 * GIB, used=1 * GIB)
    assert free_bytes(machine.root) == 3 * GIB


def test_a_group_over_its_limit_leaves_nothing(machine: Machine) -> None:
    machine.v2("/")
    machine.group_v2("", 4 * GIB, used=5 * GIB)
    assert free_bytes(machine.root) == 0


def test_of_this_machine_something_is_said() -> None:
    assert (free_bytes() or 0) > 1 << 20


def test_what_is_freed_is_kept_for_who_asks_next() -> None:
    """The kernel is asked for a block of scores once, not each time."""
    program = """
import platform, resource
import numpy as np
from jaxrec.host_memory import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def pages_of(times):
    before = faults()
    for _ in range(times):
        np.ones(2**21, np.float32)
    return faults() - before

if keep_freed():
    once = pages_of(1)
    assert pages_of(20) < once / 2, (once, pages_of(20))
else:
    assert platform.libc_ver()[0] != "glibc"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
