"""``unbraid load`` against a server in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unbraid_cli.app import run
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

Load = Callable[..., tuple[int, str, str]]
SHORT = ("--duration", "0.5", "--warm-up", "0", "--subjects", "50")


@pytest.fixture(scope="module")
def target(model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[str]:
    server = Server(ActiveModel(model_v1, unchanged), state_v1, ServerSettings(port=0), open_log("critical"))
    yield f"127.0.0.1:{server.start()}"
    server.stop(grace_s=0)


@pytest.fixture
def load(target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Load:
    monkeypatch.setenv("UNBRAID_SERVER", target)
    monkeypatch.setenv("COLUMNS", "140")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unbraid", "load", *SHORT, *arguments])
        code = run()
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_a_closed_loop_with_users_of_a_file_is_reported_and_written_down(load: Load, tmp_path: Path) -> None:
    users, report = tmp_path / "users.txt", tmp_path / "report.json"
    users.write_text("ann\n\nbob\n")
    bounds = ("--fail-if", "errors>0%", "--fail-if", "rps<1")
    code, out, err = load("--callers", "2", "--users", str(users), "--json", str(report), *bounds)
    assert (code, err) == (0, "")
    assert out.split()[:9] == ["ended", "in", "calls", "p50", "p90", "p99", "p99.9", "max", "OK"]
    written = json.loads(report.read_text())
    assert list(written["total"]["outcomes"]) == ["OK"]
    assert f"{written['total']['call_count']:,} in " in out


def test_an_open_loop_in_steps_fails_where_a_bound_is_crossed(load: Load) -> None:
    code, out, _ = load("--rate", "40:0.4s,80:0.4s", "--limit", "3", "--fail-if", "p50>1us")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["40/s", "80/s"]
    assert out.endswith("failed: p50>1us\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--rate: give either --rate, for an open loop, or --callers, for a closed one"),
        (["--rate", "10", "--callers", "2"], "--rate: give either --rate"),
        (["--rate", "fast"], "--rate: 'fast' is no rate"),
        (["--callers", "2", "--fail-if", "p98>1ms"], "--fail-if: 'p98>1ms': p98 is none of"),
        (["--callers", "2", "--users", "missing.txt"], "--users: missing.txt cannot be read"),
        (["--callers", "2", "--server", "127.0.0.1:1"], "no server answers at 127.0.0.1:1"),
    ],
)
def test_mistakes_are_one_line(load: Load, arguments: list[str], problem: str) -> None:
    code, out, err = load(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {problem}")
    assert err.count("\n") == 1


def test_ctrl_c_ends_a_test_early_with_its_report(target: str, tmp_path: Path) -> None:
    order = ["load", "--rate", "100", "--duration", "60", "--warm-up", "0", "--server", target]
    with subprocess.Popen(
        [sys.executable, "-m", "unbraid_cli", *order, "--json", str(tmp_path / "report.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TTY_COMPATIBLE": "1", "COLUMNS": "140"},
    ) as process:
        assert process.stderr
        # As from a terminal: every process of the group hears it.
        while "answered" not in process.stderr.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert ", ended early" in out
    assert json.loads((tmp_path / "report.json").read_text())["is_stopped"]
