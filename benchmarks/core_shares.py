"""The cores of a measurement: some for the servers, one for their load, and never two threads of one physical core."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["CoreShares", "core_shares", "running_on"]

SIBLINGS = "sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"


class CoreShares(NamedTuple):
    """Cores as the scheduler numbers them: the servers', of which the pinned ones have the first, and the load's."""

    servers: frozenset[int]
    load: frozenset[int]


def core_shares(usable: Collection[int], root: Path = Path("/")) -> CoreShares:
    """One thread of each physical core, the last of them for the load.

    Where there are no more than two, servers that are not pinned may use the load's too.

    Args:
        usable: by this process.
        root: of the file system.
    """
    first_threads = {_physical(core, root): core for core in sorted(usable, reverse=True)}
    cores = sorted(first_threads.values() if len(first_threads) > 1 else usable)
    return CoreShares(frozenset(cores[:-1] if len(cores) > 2 else cores), frozenset(cores[-1:]))


@contextmanager
def running_on(cores: Collection[int]) -> Iterator[None]:
    """What is started meanwhile runs on some of the cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _physical(core: int, root: Path) -> int:
    """The first of the threads that the physical core has."""
    siblings = root / SIBLINGS.format(core=core)
    return int(re.split("[-,]", siblings.read_text())[0]) if siblings.is_file() else core
