"""The cores that this process may use, and which of them its threads keep to.

Python runs one thread of a process at a time. Spread over several cores, threads that answer calls hand the interpreter
from core to core; on one core they take a quarter less processor time (docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["keep_to_core", "roam", "usable_cores"]

_AT_START = frozenset(os.sched_getaffinity(0))

# Where the kernel says to which control groups a process belongs, and where their limits are.
MEMBERSHIP = "proc/self/cgroup"
GROUPS = "sys/fs/cgroup"


def usable_cores(root: Path = Path("/")) -> int:
    """At least 1: the cores that the scheduler may put this process on, but no more than its processor time makes up.

    Containers are limited by processor time: ``docker run --cpus 2`` on a machine with 64 cores leaves all 64 visible.

    Args:
        root: of the file system.
    """
    return max(1, int(min([len(os.sched_getaffinity(0)), *_limits(root)])))


def keep_to_core(number: int) -> None:
    """Run this thread, and those that it starts, on one core.

    Args:
        number: which of the cores that this process started with, from 1; beyond the last it goes on with the first.
    """
    cores = sorted(_AT_START)
    os.sched_setaffinity(0, {cores[(number - 1) % len(cores)]})


def roam() -> None:
    """Let this thread, and threads and processes that it starts, run on all cores that this process started with."""
    os.sched_setaffinity(0, _AT_START)


def _limits(root: Path) -> Iterator[float]:
    """Seconds of processor time a second that each control group of this process, and of its parents, may use."""
    for line in _text(root / MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        # A container sees its own group as the root of the tree, under whichever path it was told.
        groups = [PurePosixPath(path), *PurePosixPath(path).parents]
        if not controllers:
            limits = [_text(root / GROUPS / str(group).lstrip("/") / "cpu.max") for group in groups]
        elif "cpu" in controllers.split(","):
            folders = [root / GROUPS / "cpu" / str(group).lstrip("/") for group in groups]
            limits = [f"{_text(f / 'cpu.cfs_quota_us')} {_text(f / 'cpu.cfs_period_us')}" for f in folders]
        else:
            continue
        for quota, period in (limit.split() for limit in limits if len(limit.split()) == 2):
            if quota not in {"max", "-1"}:
                yield int(quota) / int(period)


def _text(path: Path) -> str:
    """The content of a file; nothing where there is none."""
    return path.read_text() if path.is_file() else ""
