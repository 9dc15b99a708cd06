"""``unbraid config``: what it prints is what a server would be told, and it finds what would keep one from starting."""

from __future__ import annotations

import os
import re
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from unbraid_cli.app import app, run
from unbraid_server.settings import VARIABLES_OF_OTHERS, ServerSettings

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in os.environ:
        if name.startswith("UNBRAID_"):
            monkeypatch.delenv(name)


class Command:
    """``unbraid config`` in this process: its exit code and what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, list[str]]:
        self._monkeypatch.setattr(sys, "argv", ["unbraid", "config", *arguments])
        code = run()
        said = self._capsys.readouterr()
        return code, said.out, said.err.splitlines()


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_the_printed_file_gives_the_defaults_again(config: Command, tmp_path: Path) -> None:
    code, printed, _ = config("show", "--defaults")
    (tmp_path / "unbraid.toml").write_text(printed)
    assert code == 0
    assert ServerSettings.load(Path("unbraid.toml")) == ServerSettings()
    settings = re.findall(r"^# (.+)\n(?:# )?(\w+) =", printed, flags=re.MULTILINE)
    assert [name for _, name in settings] == list(ServerSettings.model_fields)
    assert set(tomllib.loads(printed)) == {name for name, value in ServerSettings() if value is not None}


def test_every_setting_is_shown_with_its_source(
    config: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text("batch_limit = 8\nqueue_limit = 9\n")
    monkeypatch.setenv("UNBRAID_QUEUE_LIMIT", "10")
    code, printed, _ = config("show", "--config", "a.toml", "--port", "0", "--grace", "2")
    assert code == 0
    _, *rows = (line.split() for line in printed.splitlines())
    assert [row[0] for row in rows] == list(ServerSettings.model_fields)
    for row in (
        ["batch_limit", "8", "a.toml:batch_limit"],
        ["queue_limit", "10", "UNBRAID_QUEUE_LIMIT"],
        ["port", "0", "flag"],
        ["grace_s", "2.0", "flag"],
        ["host", '"127.0.0.1"', "default"],
    ):
        assert row in rows


GPU_FLAGS = {
    "retrieval": ("device", '"device"'),
    "gpu_id": ("1", "1"),
    "gpu_memory_mb": ("4096", "4096"),
    "tensorrt_cache": ("engines", '"engines"'),
}


def test_how_a_gpu_is_used_can_be_said_by_options(config: Command) -> None:
    flags = [word for name, (given, _) in GPU_FLAGS.items() for word in (f"--{name.replace('_', '-')}", given)]
    code, printed, _ = config("show", *flags)
    rows = [line.split() for line in printed.splitlines()]
    assert code == 0
    assert [[name, shown, "flag"] in rows for name, (_, shown) in GPU_FLAGS.items()] == [True] * len(GPU_FLAGS)
    assert ["cuda_graphs", "true", "flag"] in [line.split() for line in config("show", "--cuda-graphs")[1].splitlines()]
    errors = config("check", *flags, "--cuda-graphs")[2]
    assert "error: cuda_graphs: cannot be had together with tensorrt_cache; leave one of them out" in errors


def test_a_server_that_could_start(config: Command, releases_v1: Path) -> None:
    code, printed, errors = config("check", "--releases", str(releases_v1), "--port", "0", "--device", "cpu")
    assert (code, errors) == (0, [])
    assert printed == "a server can start with these settings, 3 of which are not left to their defaults\n"
    assert not Path("state.db").exists()


def test_everything_that_is_wrong_is_said_at_once(
    config: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text(f'prot = 1\nreleases = "{tmp_path}"\nstate = "nowhere/state.db"\n')
    (tmp_path / "catalogue.sqlite").mkdir()
    (tmp_path / "key.pub").write_text("no key")
    monkeypatch.setenv("UNBRAID_BATCH_LIMIT", "many")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as taken_too:
        port, metrics_port = (str(each.getsockname()[1]) for each in (taken, taken_too))
        flags = ["--port", port, "--metrics-port", metrics_port, "--public-key", "key.pub"]
        code, _, errors = config("check", "--config", "a.toml", *flags)
    assert code == 2
    expected = [
        "UNBRAID_BATCH_LIMIT: 'many': ",
        "a.toml:prot: there is no such setting; did you mean a.toml:port?",
        "public_key: key.pub is no public ed25519 key",
        "state: nowhere/state.db cannot be created",
        f"catalogue: {tmp_path}/catalogue.sqlite is no file",
        f"port: cannot listen on 127.0.0.1:{port}: Address already in use",
        f"metrics_port: cannot listen on 127.0.0.1:{metrics_port}: Address already in use",
    ]
    assert len(errors) == len(expected)
    for line, start in zip(errors, expected, strict=True):
        assert line.startswith(f"error: {start}")


@pytest.mark.parametrize("content", ["# nothing", None])
def test_no_release_is_said(config: Command, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "releases").mkdir()
    code, _, errors = config("check", "--port", "0", "--catalogue", "c.sqlite")
    assert (code, errors) == (2, ["error: releases: no release is active in releases; see: unbraid release activate"])


def test_files_for_tls_and_authentication_are_read(config: Command, tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text("[[token]")
    files = ["--tls-certificate", "c.pem", "--tls-key", "k.pem", "--access-file", "access.toml"]
    code, _, errors = config("check", "--port", "0", *files)
    assert code == 2
    assert "error: tls_certificate: c.pem: No such file or directory" in errors
    assert any(error.startswith("error: access_file: access.toml is not TOML") for error in errors)


def test_an_option_that_serve_does_not_have(config: Command) -> None:
    code, _, errors = config("show", "--prot", "1")
    assert (code, len(errors)) == (2, 1)
    assert errors[0].startswith("error: No such option: --prot")


def test_every_setting_is_documented_with_its_default() -> None:
    rows = []
    for name, field in ServerSettings.model_fields.items():
        assert field.description
        value = str(field.default).lower() if isinstance(field.default, bool) else field.default
        default = "" if value is None else f"`{value}`"
        rows.append(f"| `{name}` | {default} | {' '.join(field.description.split())} |")
    table = "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])
    assert table in REFERENCE.read_text(encoding="utf-8"), f"{REFERENCE} needs this table:\n{table}"


def test_no_variable_of_the_command_line_keeps_a_server_from_starting() -> None:
    settings = {f"UNBRAID_{name.upper()}" for name in ServerSettings.model_fields}

    def variables(command: TyperCommand | TyperGroup) -> set[str]:
        found = {str(each.envvar) for each in command.params if each.envvar}
        children = command.commands.values() if isinstance(command, TyperGroup) else ()
        return found.union(*(variables(child) for child in children if isinstance(child, TyperCommand | TyperGroup)))

    command = get_command(app)
    assert isinstance(command, TyperGroup)
    assert "UNBRAID_SERVER" in variables(command) <= settings | VARIABLES_OF_OTHERS
