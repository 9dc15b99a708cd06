"""A server in a process of its own, to be measured from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["UNBRAID", "server_process"]

UNBRAID = [sys.executable, "-m", "unbraid_cli"]


@contextmanager
def server_process(releases: Path, *arguments: str, **settings: str) -> Iterator[tuple[str, int]]:
    """A server of the active release of a folder: its address and its process id. Its state lies beside the folder.

    It computes on the CPU, as what it is compared with does, on a machine with a GPU too.
    """
    chosen = {"device": "cpu", **settings}
    environment = {**os.environ, **{f"UNBRAID_{name.upper()}": value for name, value in chosen.items()}}
    order = ["serve", "--port", "0", "--releases", str(releases), "--state", str(releases.parent / "state.db")]
    with subprocess.Popen(
        [*UNBRAID, *order, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[2].rstrip(","), process.pid
        finally:
            process.terminate()
