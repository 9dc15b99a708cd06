"""Two cores of a machine that take as little from each other as may be."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["core_pair"]


def core_pair() -> tuple[int, int]:
    """Two of the cores that this process may use, the last one first; the same one twice where there is no other.

    The second is the first core that is no second thread of the last one, as cores of one number often are. The last
    one is for what is measured: interrupts go to the first one more often than to others.
    """
    cores = sorted(os.sched_getaffinity(0))
    measured = cores[-1]
    siblings = _siblings(measured)
    others = [core for core in cores if core != measured]
    return measured, next((core for core in others if core not in siblings), others[0] if others else measured)


def _siblings(core: int) -> set[int]:
    """The cores that are threads of the same piece of silicon, as in ``0,8`` or ``0-1``; none where nobody says."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    siblings: set[int] = set()
    for part in path.read_text().strip().split(",") if path.is_file() else ():
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings
