"""``unbraid top`` against a real server: once, as lines, on a terminal, and while the server goes and comes back."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread
from typing import IO

import pytest

from unbraid_client import Event, UnbraidClient
from unbraid_core.pipeline import STAGES
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

TOP = [sys.executable, "-m", "unbraid_cli", "top"]
TIMEOUT_S = 30.0
NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)

pytestmark = pytest.mark.timeout(60)

Serve = Callable[[int], tuple[Server, int]]


@pytest.fixture
def serve(model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[Serve]:
    """Starts servers on a port, 0 for any, and stops them."""
    started: list[Server] = []

    def start(port: int) -> tuple[Server, int]:
        server = Server(ActiveModel(model_v1, unchanged), state_v1, ServerSettings(port=port), open_log("error"))
        started.append(server)
        return server, server.start()

    yield start
    for server in started:
        server.stop(grace_s=0)


@contextmanager
def asking(port: int) -> Iterator[None]:
    """Somebody asks the server, one question after the other."""
    enough = Flag()

    def ask() -> None:
        with UnbraidClient(f"127.0.0.1:{port}") as client:
            while not enough.is_set():
                client.recommend(history=[Event("k01", NOON)])

    thread = Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@contextmanager
def running(port: int, *options: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    command = [*TOP, "--server", f"127.0.0.1:{port}", *options]
    screen = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=screen) as process:
        try:
            yield process
        finally:
            process.kill()


def left_with_ctrl_c(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    # gRPC writes a line of its own when a server goes.
    assert (process.returncode, "Traceback" in errors, "interrupted" in errors) == (0, False, False)


def next_line(stream: IO[str] | None, wanted: str) -> str:
    assert stream is not None
    return next(line for line in stream if wanted in line)


def test_once_says_what_happened_meanwhile(serve: Serve, model_v1: Model) -> None:
    _, port = serve(0)
    with asking(port), running(port, "--once", "--json", "--interval", "0.5") as process:
        printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    frame = json.loads(printed)
    [worker] = frame["workers"]
    rates = frame["rates"]
    assert worker["rates"] == rates
    assert worker["status"]["release"]["release_id"] == model_v1.release_id
    assert rates["calls_per_second"].keys() == {"OK"}
    assert 0 < rates["p50_ms"] <= rates["p95_ms"] <= rates["p99_ms"]
    assert rates["batch_queries"] == 1
    assert list(rates["stage_ms"]) == [*STAGES, "respond"]
    assert sum(rates["stage_ms"].values()) <= 1.1 * rates["step_ms"]["answer"]


def test_a_server_that_nobody_asks_does_nothing(serve: Serve) -> None:
    """What looks is no load."""
    _, port = serve(0)
    with running(port, "--once", "--interval", "0.2") as process:
        printed, _ = process.communicate(timeout=TIMEOUT_S)
    facts = dict(line.split(None, 1) for line in printed.splitlines() if line.startswith("now"))
    assert facts["now"].strip() == "0 calls in progress, 0 questions wait"
    assert "calls a second  none" in printed


def test_once_without_a_server_is_an_error() -> None:
    with running(1, "--once") as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert errors.startswith("error: no server answers at 127.0.0.1:1")
    assert "Traceback" not in errors


def test_lines_go_on_while_the_server_goes_and_comes_back(serve: Serve) -> None:
    server, port = serve(0)
    with running(port, "--interval", "0.1") as process:
        with asking(port):
            assert "p50" in next_line(process.stdout, "calls/s OK")
        server.stop(grace_s=0)
        next_line(process.stdout, "reconnecting")
        serve(port)
        next_line(process.stdout, "calls/s none")
        left_with_ctrl_c(process)


def test_a_terminal_shows_a_bar_for_each_stage(serve: Serve) -> None:
    _, port = serve(0)
    shown, terminal = pty.openpty()
    with asking(port), running(port, "--interval", "0.1", stdout=terminal) as process:
        os.close(terminal)
        seen = ""
        while "select" not in seen or "█" not in seen:
            seen += os.read(shown, 65_536).decode(errors="replace")
        # Nobody reads the terminal any more, so leaving must not wait for it.
        reader = Thread(target=_drain, args=(shown,), daemon=True)
        reader.start()
        left_with_ctrl_c(process)
    assert "reconnecting" not in seen


def _drain(shown: int) -> None:
    try:
        while os.read(shown, 65_536):
            pass
    except OSError:
        # What Linux says when the other end is closed.
        os.close(shown)
