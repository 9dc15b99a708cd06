"""``unbraid state`` as a user calls it, and what a kill in the middle leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from unbraid_server.sqlite_state import SqliteStateStore

UNBRAID = [sys.executable, "-m", "unbraid_cli"]
EVENT_COUNT, USER_COUNT = 60_000, 300


def state_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*UNBRAID, "state", *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "events.csv"
    rows = (f"user-{i % USER_COUNT},item-{i % 997},{1_700_000_000 + i},view\n" for i in range(EVENT_COUNT))
    path.write_text("user_id,item_id,timestamp,action\n" + "".join(rows))
    return path


def test_import_count_and_delete(tmp_path: Path) -> None:
    state = str(tmp_path / "state.db")
    events = tmp_path / "events.csv"
    events.write_text(
        "user_id,item_id,timestamp\nada,k00,2026-01-01T10:00:00Z\nada,k01,1767261600\nbob,k02,1767261601\n,k03,1767261602\n"
    )
    imported = state_command("import", str(events), "--state", state)
    assert imported.returncode == 0, imported.stderr
    assert "3 new events, 0 known before, of 2 users" in imported.stdout
    assert "missing user id: 1" in imported.stdout
    again = state_command("import", str(tmp_path), "--state", state)
    assert "0 new events, 3 known before" in again.stdout
    assert "user ada: 2 events erased" in state_command("delete", "ada", "--state", state).stdout
    assert state_command("count", "--state", state).stdout == "users: 1, events: 1\n"
    assert b"ada" not in (tmp_path / "state.db").read_bytes()


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    broken = tmp_path / "events.csv"
    broken.write_text("user,item\n1,2\n")
    for arguments in (["import", str(broken)], ["delete", "ada"]):
        done = state_command(*arguments, "--state", str(tmp_path / "missing.db"))
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "missing.db").exists()


def test_a_kill_during_an_import_loses_nothing_that_was_stored(events_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    importing = subprocess.Popen(
        [*UNBRAID, "state", "import", str(events_file), "--state", str(path)], stderr=subprocess.DEVNULL
    )
    store = SqliteStateStore(path)
    stored_count = 0
    while stored_count == 0:
        assert importing.poll() is None
        stored_count = store.count_events()
    importing.send_signal(signal.SIGKILL)
    importing.wait()
    with apsw.Connection(str(path)) as connection:
        assert connection.pragma("integrity_check") == "ok"
    assert stored_count <= store.count_events() < EVENT_COUNT
    again = state_command("import", str(events_file), "--state", str(path))
    assert again.returncode == 0, again.stderr
    assert (store.count_events(), store.count_users()) == (EVENT_COUNT, USER_COUNT)
