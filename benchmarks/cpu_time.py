"""CPU time of processes, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_s"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Of the fields behind the name: times of the process itself in user and system mode.
USER, SYSTEM = 11, 12


def cpu_s(process_id: int) -> float:
    """CPU seconds of a process and all its living descendants so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    own_s = (int(fields[USER]) + int(fields[SYSTEM])) / TICKS_PER_S
    return own_s + sum(cpu_s(child) for child in _children(process_id))


def _children(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
