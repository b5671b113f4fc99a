"""How much memory a process can still take: the machine's, or less where it is held in a container.

And what becomes of memory that is given back, by which ranking gets twice as fast.

A container is a control group, whose limit the kernel keeps by ending processes: it must be heeded
as the machine's end is. Groups are nested, and each may have a limit.
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class _Kind(NamedTuple):
    """The files of a version of control groups, and what memory.stat calls the cache of files."""

    limit: str
    used: str
    cached: tuple[str, ...]


_KINDS = {
    "cgroup2": _Kind("memory.max", "memory.current", ("inactive_file", "active_file")),
    "cgroup": _Kind(
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
}


# glibc's mallopt: https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT, LARGEST = 2**30, 2**25  # bytes; larger ones are always given back, by glibc's own rule


def keep_freed() -> bool:
    """Has malloc keep what is freed, up to a GiB, for who asks next; whether it can be told so.

    A block of scores is some 10 MiB, several a block of users. By default the kernel gives each one
    anew and clears it page by page, which took half of the time of ranking.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))


def free_bytes(root: Path = Path("/")) -> int | None:
    """The memory in bytes that a process can still take; None where nothing says it.

    Args:
      root: the folder that holds proc and sys.
    """
    free = [_free_of_machine(root), *_free_of_groups(root)]
    return min((each for each in free if each is not None), default=None)


def _free_of_machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system
        return None


def _free_of_groups(root: Path) -> Iterator[int]:
    """What each group that the process is in leaves it, the innermost first."""
    own = dict(_own_groups(root))
    for kind, mounted, inside in _mounts(root):
        if kind not in own:
            continue
        group = PurePosixPath(own[kind])
        # A container may see a part of the tree alone, with its own group as the root there.
        below = group.relative_to(inside) if group.is_relative_to(inside) else PurePosixPath()
        for part in (below, *below.parents):
            free = _free_of_group(root / mounted.lstrip("/") / part, _KINDS[kind])
            if free is not None:
                yield free


def _own_groups(root: Path) -> Iterator[tuple[str, str]]:
    """The kinds of groups that count memory, and the process's own group of each."""
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            yield "cgroup2", group
        elif "memory" in controllers.split(","):
            yield "cgroup", group


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Where the groups that count memory are seen: kind, folder, and which group is its top."""
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            inside, mounted = fields.split(" ")[3:5]
            yield kind, mounted, inside


def _free_of_group(folder: Path, kind: _Kind) -> int | None:
    """Limit less use, in bytes; the cache of files is given up where memory is needed."""
    limit, used = ("".join(_lines(folder / name)) for name in (kind.limit, kind.used))
    if not limit.isdigit() or not used.isdigit():  # "max", or no such group
        return None
    cached = 0
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in kind.cached:
            cached += int(value)
    return max(0, int(limit) - max(0, int(used) - cached))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
