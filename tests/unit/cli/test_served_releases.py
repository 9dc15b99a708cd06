"""``unbraid release`` and ``unbraid index rebuild`` with ``--server``, against a server with TLS and tokens."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from unbraid_cli.app import run
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import USER_ENCODER

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Guarded

UNBRAID = [sys.executable, "-m", "unbraid_cli"]
# Of a rebuild that was told to stop; a trial that runs ends by itself.
TIMEOUT_S = 30.0

pytestmark = pytest.mark.timeout(60)


class Unbraid(Protocol):
    """Runs a command as somebody with a role, admin by default, and returns exit code, stdout and stderr."""

    def __call__(self, *arguments: str, role: str | None = "admin") -> tuple[int, str, str]: ...


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Three releases of three days; the first is active, the last cannot be used."""
    source = open_release(release_v1)
    for day in (1, 2, 3):
        with Staging(tmp_path / "releases") as staging:
            if day == 3:
                (staging.folder / USER_ENCODER).write_bytes(b"not a model")
            created_time = datetime(2026, 3, day, 15, 30, tzinfo=UTC)
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    releases = ReleaseStore(tmp_path / "releases")
    releases.activate(ids(releases)[0], datetime(2026, 3, 4, tzinfo=UTC))
    return releases


def ids(store: ReleaseStore) -> list[str]:
    """Oldest first."""
    return sorted(each.release_id for each in store.list())


@pytest.fixture
def guarded(guard: Callable[[Path], Guarded], store: ReleaseStore) -> Guarded:
    return guard(store.root)


@pytest.fixture
def unbraid(guarded: Guarded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Unbraid:
    monkeypatch.setenv("COLUMNS", "140")

    def command(*arguments: str, role: str | None = "admin") -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            for name, value in guarded.environment(role).items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["unbraid", *arguments, "--server", guarded.target])
            code = run()
        return code, *capsys.readouterr()

    return command


def test_the_list_of_a_server_is_that_of_its_folder(unbraid: Unbraid, store: ReleaseStore) -> None:
    code, out, err = unbraid("release", "list")
    assert (code, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head[:2] == ["active", "release"]
    third, second, first = (f"{each.created_time:%Y-%m-%d}" for each in store.list())
    assert rows == [
        [ids(store)[2], third, "15:30", "0.0", "MB", "ok"],
        [ids(store)[1], second, "15:30", "0.0", "MB", "ok"],
        ["*", ids(store)[0], first, "15:30", "0.0", "MB", "ok"],
    ]
    listed = json.loads(unbraid("release", "list", "--json")[1])
    assert [(each["release_id"], each["active"]) for each in listed] == [
        (each.release_id, each.active) for each in store.list()
    ]


def test_a_server_is_told_to_activate_and_to_go_back(unbraid: Unbraid, store: ReleaseStore) -> None:
    first, second, _ = ids(store)
    assert unbraid("release", "activate", second)[:2] == (0, f"active release: {second} (before: {first})\n")
    assert store.current_id() == second
    assert unbraid("release", "rollback")[:2] == (0, f"active release: {first} (before: {second})\n")
    assert store.current_id() == first
    code, _, err = unbraid("release", "rollback")
    assert (code, err.count("\n")) == (2, 1)
    assert "no release was active before" in err


def test_what_a_server_refuses_is_one_line(unbraid: Unbraid, store: ReleaseStore) -> None:
    first, second, broken = ids(store)
    assert "no release 'yesterday'; there are " in unbraid("release", "activate", "yesterday")[2]
    assert broken in unbraid("release", "activate", broken)[2]
    assert unbraid("release", "list", role="write")[2].startswith("error: ")
    assert unbraid("release", "activate", second, role="read")[0] == 2
    assert unbraid("release", "rollback", role=None)[0] == 2
    assert store.current_id() == first
    with store.rebuilding():
        code, _, err = unbraid("index", "rebuild")
    assert code == 2
    assert "rebuilds a release already" in err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["release", "list", "--releases", "elsewhere"], "--releases"),
        (["release", "activate", "x", "--public-key", "key.pub"], "--public-key"),
        (["release", "rollback", "--releases", "elsewhere"], "--releases"),
        (["index", "rebuild", "--items", "items.csv"], "--items"),
        (["index", "rebuild", "--watch-changes", "3"], "--watch-changes"),
    ],
)
def test_options_that_a_server_would_not_see_are_refused(
    arguments: list[str], option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unbraid", *arguments, "--server", "127.0.0.1:1"])
    assert run() == 2
    assert capsys.readouterr().err == (
        f"error: {option}: is about files of this machine; leave it out, or --server, which has its own\n"
    )


def test_a_rebuild_of_a_server_tells_how_far_it_is_line_by_line(unbraid: Unbraid, store: ReleaseStore) -> None:
    first = ids(store)[0]
    code, out, err = unbraid("index", "rebuild", "--recall", "0.9")
    rebuilt = next(
        iter(set(ids(store)) - {first, *ids(store)[1:3]} - {each for each in ids(store) if "202603" in each})
    )
    assert code == 0
    assert [line.split() for line in out.splitlines()[:2]] == [["release", rebuilt], ["parent", first]]
    assert out.splitlines()[2].startswith(f"next: unbraid release activate {rebuilt} --server localhost:")
    assert store.current_id() == first
    steps = [line.partition(": ")[0] for line in err.splitlines()]
    assert "finding exact neighbours" in steps
    assert all(" of " in line for line in err.splitlines())


def test_a_rebuild_of_a_server_shows_bars_on_a_terminal_and_is_answered_from(
    guarded: Guarded, store: ReleaseStore
) -> None:
    shown, terminal = pty.openpty()
    with subprocess.Popen(
        [*UNBRAID, "index", "rebuild", "--activate", "--server", guarded.target],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env={**os.environ, **guarded.environment("admin"), "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(terminal)
        seen = _all_of(shown)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert "━" in seen
    assert out.splitlines()[0].split() == ["release", store.current_id()]
    assert out.splitlines()[2] == f"{guarded.target} answers from it"


def test_ctrl_c_ends_the_rebuild_of_a_server(guarded: Guarded, store: ReleaseStore) -> None:
    before = ids(store)
    with subprocess.Popen(
        [*UNBRAID, "index", "rebuild", "--server", guarded.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **guarded.environment("admin")},
    ) as process:
        assert process.stderr
        assert " of " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err.splitlines()[-1], "Traceback" in err) == (130, "interrupted", False)
    assert ids(store) == before


def _all_of(terminal: int) -> str:
    seen = b""
    try:
        while read := os.read(terminal, 65_536):
            seen += read
    except OSError:
        pass  # what Linux says when the other end is closed
    os.close(terminal)
    return seen.decode(errors="replace")
