"""Other servers of the same pipeline, each in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

__all__ = ["Peer", "PeerFailedError", "inline_process", "peer_process", "peers"]

START_S, END_S = 60.0, 5.0
POLL_S = 0.1
HTTP = "http://127.0.0.1:{port}"
GRPC = "127.0.0.1:{port}"


class PeerFailedError(RuntimeError):
    """A server that does not start."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A module that serves the active release of a folder on a port.

    Attributes:
        module: its name.
        target: where the port is asked.
        form: of its requests.
        arguments: that the module takes after the folder and the port.
        python: of another environment, with the same version of Python; it finds there only what this one lacks.
    """

    module: str
    target: str
    form: str
    arguments: tuple[str, ...] = ()
    python: Path = Path(sys.executable)


def peers(pytriton: Path | None) -> dict[str, Peer]:
    """All by name.

    Args:
        pytriton: the Python of the environment that has PyTriton, if any has.
    """
    known = {
        "mosec": Peer("benchmarks.peer_mosec", f"{HTTP}/inference", "http"),
        "LitServe": Peer("benchmarks.peer_litserve", f"{HTTP}/predict", "json"),
    }
    if pytriton:
        module = "benchmarks.peer_pytriton"
        url = f"{HTTP}/v2/models/recommend/infer"
        known["PyTriton over gRPC"] = Peer(module, GRPC, "triton-grpc", ("grpc",), pytriton)
        known["PyTriton over HTTP"] = Peer(module, url, "triton-http", ("http",), pytriton)
    return known


@contextmanager
def peer_process(peer: Peer, releases: Path) -> Iterator[tuple[str, int]]:
    """A peer whose port is open: its target and its process id.

    Raises:
        PeerFailedError: where it does not get so far.
    """
    port = _free_port()
    command = [str(peer.python), "-m", peer.module, str(releases), str(port), *peer.arguments]
    with (
        TemporaryFile() as said,
        TemporaryDirectory() as folder,
        # In a session of its own: some servers leave processes behind that end with nobody.
        subprocess.Popen(
            command, stdout=said, stderr=said, env=_environment(folder), start_new_session=True
        ) as process,
    ):
        try:
            _wait_for(port, process, said)
            yield peer.target.format(port=port), process.pid
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def inline_process(releases: Path) -> Iterator[tuple[str, int]]:
    """Our service without a batcher."""
    with peer_process(Peer("benchmarks.inline_server", GRPC, "recommend"), releases) as running:
        yield running


def _environment(folder: str) -> Mapping[str, str]:
    """With what the Python of another environment needs: the packages of this one, its libpython, a place for files."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [os.environ.get("LD_LIBRARY_PATH"), sysconfig.get_config_var("LIBDIR")])
        ),
        "PYTRITON_HOME": folder,
    }


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_S)
    said.seek(0)
    last_words = said.read().decode(errors="replace").strip().rpartition("\n")[2]
    raise PeerFailedError(f"nobody listens on port {port}: {last_words or 'it says nothing'}")
