"""``unbraid load`` over TLS with a token, from several processes, against a server that lets nobody else in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unbraid_cli.app import run

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Guarded
    from tests.unit.conftest import Authority

SHORT = ("--duration", "0.5", "--warm-up", "0", "--subjects", "50", "--timeout", "10")

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def guarded(guard: Callable[[Path], Guarded], releases_v1: Path) -> Guarded:
    return guard(releases_v1)


Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def load(guarded: Guarded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Load:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("UNBRAID_SERVER", guarded.target)

    def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["unbraid", "load", *SHORT, *arguments])
        return run(), *capsys.readouterr()

    return command


@pytest.mark.parametrize("call", ["recommend", "batch-recommend", "stream-recommend"])
def test_all_processes_and_connections_are_let_in(load: Load, guarded: Guarded, tmp_path: Path, call: str) -> None:
    report = tmp_path / "report.json"
    several = ("--callers", "4", "--processes", "2", "--connections", "2", "--call", call)
    code, out, err = load(*several, "--json", str(report), "--fail-if", "errors>0%", **guarded.environment("read"))
    assert (code, err) == (0, "")
    total = json.loads(report.read_text())["total"]
    assert list(total["outcomes"]) == ["OK"]
    assert total["call_count"] > 4
    assert guarded.tokens["read"] not in report.read_text() + out


def test_a_token_can_come_from_a_file(load: Load, guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "load.token").write_text(f"{guarded.tokens['read']}\n")
    environment = {**guarded.environment(None), "UNBRAID_TOKEN_FILE": str(tmp_path / "load.token")}
    code, out, _ = load("--callers", "2", "--fail-if", "errors>0%", **environment)
    assert code == 0
    assert "100.00%" in out


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (None, "does not know who calls: name the file with your token in UNBRAID_TOKEN_FILE"),
        ("unbraid_wrong", "or set UNBRAID_TOKEN (the token is not accepted)"),
        ("two words", "UNBRAID_TOKEN: holds no token"),
    ],
)
def test_who_is_not_let_in_is_told_so_before_the_load(
    load: Load, guarded: Guarded, token: str | None, problem: str
) -> None:
    environment = guarded.environment(None) | ({} if token is None else {"UNBRAID_TOKEN": token})
    code, out, err = load("--callers", "2", **environment)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err


def test_a_server_with_tls_that_is_asked_without_is_said_to_have_it_maybe(load: Load, guarded: Guarded) -> None:
    code, out, err = load("--callers", "2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"no server answers at {guarded.target}" in err
    assert "or set UNBRAID_CA if it has TLS" in err


def test_a_server_of_another_ca_is_not_trusted(
    load: Load, guarded: Guarded, make_authority: Callable[[], Authority], tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority().certificate)
    code, out, err = load("--callers", "2", **{**guarded.environment("read"), "UNBRAID_CA": str(other)})
    assert (code, out) == (2, "")
    assert f"no server answers at {guarded.target}" in err
    assert "unset UNBRAID_CA if it has no TLS and else compare its CA" in err
