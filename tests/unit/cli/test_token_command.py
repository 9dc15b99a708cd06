"""``unbraid token new``, and how commands learn from the environment who they are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from unbraid_cli.app import run
from unbraid_cli.connection import CONNECTION_VARIABLES
from unbraid_server.access_file import read_access_file
from unbraid_server.settings import CLIENT_VARIABLES


class Unbraid(Protocol):
    """Runs a command and returns exit code, stdout and stderr."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def unbraid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Unbraid:
    for name in (*CONNECTION_VARIABLES, "UNBRAID_ACCESS_FILE"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unbraid", *arguments])
        code = run()
        return code, *capsys.readouterr()

    return command


def test_a_token_is_printed_alone_and_its_hash_is_kept(unbraid: Unbraid, tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    code, out, err = unbraid("token", "new", "ci", "--role", "write", "--access-file", str(path), "--days", "7")
    assert (code, out.count("\n")) == (0, 1)
    token = out.strip()
    assert token not in err + path.read_text()
    grant = read_access_file(path).of_token(token)
    assert grant is not None
    assert (grant.name, grant.role) == ("ci", "write")
    assert grant.expires is not None
    assert timedelta(days=6.9) < grant.expires - datetime.now(UTC) <= timedelta(days=7)


def test_without_a_file_the_entry_is_printed_beside_the_token(unbraid: Unbraid, tmp_path: Path) -> None:
    code, out, err = unbraid("token", "new", "ci", "--role", "read")
    assert code == 0
    path = tmp_path / "access.toml"
    path.write_text(err.partition("\n\n")[2])
    grant = read_access_file(path).of_token(out.strip())
    assert grant is not None
    assert (grant.name, grant.role, grant.expires) == ("ci", "read", None)


def test_a_name_that_is_taken_or_wrong_is_one_line(unbraid: Unbraid, tmp_path: Path) -> None:
    path = str(tmp_path / "access.toml")
    unbraid("token", "new", "ci", "--role", "read", "--access-file", path)
    for name, problem in (("ci", "has a token of the name ci"), ("a b", "name: 'a b'")):
        code, out, err = unbraid("token", "new", name, "--role", "read", "--access-file", path)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert problem in err


def test_a_server_knows_the_variables_of_commands() -> None:
    assert set(CLIENT_VARIABLES) == {"UNBRAID_SERVER", *CONNECTION_VARIABLES}


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"UNBRAID_TOKEN": "swordfish"}, "--server: a token must not travel to 10.0.0.7:5 in plain text"),
        ({"UNBRAID_TOKEN": "sword fish"}, "UNBRAID_TOKEN: holds no token"),
        ({"UNBRAID_TOKEN": "swordfish\x07"}, "UNBRAID_TOKEN: holds no token"),
        ({"UNBRAID_TOKEN_FILE": "/dev/null"}, "UNBRAID_TOKEN_FILE: holds no token"),
        ({"UNBRAID_TOKEN_FILE": "/nowhere"}, "/nowhere: No such file"),
        ({"UNBRAID_CA": "/nowhere"}, "/nowhere: No such file"),
        ({"UNBRAID_TLS_NAME": "n"}, "UNBRAID_CA: is missing"),
        ({"UNBRAID_CLIENT_KEY": "k"}, "UNBRAID_CLIENT_CERTIFICATE: a certificate and its key belong together"),
        ({"UNBRAID_CLIENT_KEY": "k", "UNBRAID_CLIENT_CERTIFICATE": "c"}, "UNBRAID_CA: is missing"),
    ],
)
def test_an_environment_that_is_wrong_is_one_line_without_the_token(
    unbraid: Unbraid, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], problem: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, out, err = unbraid("status", "--server", "10.0.0.7:5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {problem}")
    assert "swordfish" not in err


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ("http://127.0.0.1:50051", "is a URL; write host:port, and set UNBRAID_CA for TLS"),
        ("recommender", "has no port; write for example recommender:50051"),
        ("", "has no port; write for example 127.0.0.1:50051"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anybody_is_asked(
    unbraid: Unbraid, server: str, problem: str
) -> None:
    assert unbraid("status", "--server", server) == (2, "", f"error: --server: {server!r} {problem}\n")
