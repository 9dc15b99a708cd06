"""Watches a process from outside: its memory, threads and open files over time."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

__all__ = ["Sample", "watched"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment.

    Attributes:
        time_s: by ``time.monotonic``.
        cpu_s: that it has taken so far.
        resident_mb, anonymous_mb: all memory that is resident, and what of it belongs to no file.
        threads, files: how many there are, and are open.
    """

    time_s: float
    cpu_s: float
    resident_mb: float
    anonymous_mb: float
    threads: int
    files: int

    @classmethod
    def of(cls, process_id: int) -> Sample:
        """Ask the kernel."""
        process = Path(f"/proc/{process_id}")
        fields = dict(re.findall(r"^(\w+):\s+(\d+)", (process / "status").read_text(), re.MULTILINE))
        return cls(
            time.monotonic(),
            sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS,
            int(fields["VmRSS"]) / 1e3,
            int(fields["RssAnon"]) / 1e3,
            int(fields["Threads"]),
            sum(1 for _ in (process / "fd").iterdir()),
        )


@contextmanager
def watched(process_id: int, every_s: float) -> Iterator[list[Sample]]:
    """Samples of a process as long as the context lasts, in a list that grows."""
    samples = [Sample.of(process_id)]
    enough = threading.Event()

    def watch() -> None:
        while not enough.wait(every_s):
            samples.append(Sample.of(process_id))

    thread = threading.Thread(target=watch, name="process-watch")
    thread.start()
    try:
        yield samples
    finally:
        enough.set()
        thread.join()
        samples.append(Sample.of(process_id))
