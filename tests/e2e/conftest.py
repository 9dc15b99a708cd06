"""Servers as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVE = [sys.executable, "-m", "unbraid_cli", "serve", "--port", "0"]
TIMEOUT_S = 60.0


class ServerProcess:
    """A server that was started and says that it listens."""

    def __init__(self, arguments: list[str], log: Path, **environment: str) -> None:
        self._log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*SERVE, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **environment},
            )
        assert self.process.stdout
        self.ready_line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (\S+), release ([^\s,]+)(, \d+ workers)?\n", self.ready_line)
        assert found, f"said {self.ready_line!r} and logged {log.read_text()}"
        self.address, self.release_id, _ = found.groups()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def logged(self, event: str | None = None) -> list[dict[str, object]]:
        """What it has logged, all or one kind of event; a line that is being written is left out."""
        lines = self._log.read_text().split("\n")[:-1]
        return [line for line in map(json.loads, lines) if event in {None, line["event"]}]


Starter = Callable[..., ServerProcess]


@contextmanager
def _started_in(folder: Path, *common: str) -> Iterator[Starter]:
    """Starts servers with some arguments in common, and kills them in the end."""
    started: list[ServerProcess] = []

    def start_server(*arguments: str, **environment: str) -> ServerProcess:
        server = ServerProcess([*common, *arguments], folder / f"{len(started)}.log", **environment)
        started.append(server)
        return server

    yield start_server
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def start(releases_v1: Path, tmp_path: Path) -> Iterator[Starter]:
    """Starts servers of the committed release with a state file of the test."""
    with _started_in(tmp_path, "--releases", str(releases_v1), "--state", str(tmp_path / "state.db")) as start_server:
        yield start_server


@pytest.fixture(scope="module")
def start_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Starts servers that all tests of a module share."""
    folder = tmp_path_factory.mktemp("servers")
    with _started_in(folder, "--state", str(folder / "state.db")) as start_server:
        yield start_server
