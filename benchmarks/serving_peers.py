"""Other servers of the same pipeline, each in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Peer", "inline_process", "peer_process"]

START_S = 120.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Peer:
    """A module that serves the active release of a folder on a port, where, and the form of its requests."""

    module: str
    target: str
    form: str


PEERS = {
    "mosec": Peer("benchmarks.peer_mosec", "http://127.0.0.1:{port}/inference", "http"),
    "LitServe": Peer("benchmarks.peer_litserve", "http://127.0.0.1:{port}/predict", "json"),
}
INLINE = Peer("benchmarks.inline_server", "127.0.0.1:{port}", "recommend")


@contextmanager
def peer_process(peer: Peer, releases: Path) -> Iterator[tuple[str, int]]:
    """A running peer: its target and its process id."""
    port = _free_port()
    command = [sys.executable, "-m", peer.module, str(releases), str(port)]
    # In a session of its own: some servers leave processes behind that end with nobody.
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            _wait_for(port)
            yield peer.target.format(port=port), process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def inline_process(releases: Path) -> Iterator[tuple[str, int]]:
    """Our service without a batcher."""
    with peer_process(INLINE, releases) as running:
        yield running


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_S)
    raise TimeoutError(f"nobody listens on port {port} after {START_S:.0f} s")
