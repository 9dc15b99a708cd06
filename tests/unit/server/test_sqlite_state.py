"""The SQLite file itself: durability settings, erasure, and files that are not ours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from unbraid_core.errors import IncompatibleError, IntegrityError, InvalidInput, Unavailable
from unbraid_core.ports import Event, UserEvent
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.conftest import FilesLimitedTo


def test_a_second_store_on_the_same_file_sees_what_was_committed(tmp_path: Path) -> None:
    writer, reader = SqliteStateStore(tmp_path / "state.db"), SqliteStateStore(tmp_path / "state.db")
    writer.append([UserEvent("u", Event("i", 1.5, "buy"))])
    assert list(reader.read("u", 5)) == [Event("i", 1.5, "buy")]
    assert (reader.count_users(), reader.count_events()) == (1, 1)


def test_many_openers_of_a_new_file_agree(tmp_path: Path) -> None:
    def open_and_append(user: int) -> int:
        return SqliteStateStore(tmp_path / "state.db").append([UserEvent(f"u{user}", Event("i", 1.0))])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(open_and_append, range(8))) == 8
    assert SqliteStateStore(tmp_path / "state.db").count_users() == 8


def test_deleting_a_user_leaves_no_trace_in_any_file(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.append(UserEvent("user-to-forget", Event(f"secret-item-{i}", float(i))) for i in range(3_000))
    store.append(UserEvent("user-to-keep", Event(f"harmless-item-{i}", float(i))) for i in range(10))
    store.delete_user("user-to-forget")
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"harmless-item-9" in files
    assert b"user-to-forget" not in files
    assert b"secret-item" not in files


def test_commits_reach_the_disk(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.append([UserEvent("u", Event("i", 1.0))])
    with apsw.Connection(str(tmp_path / "state.db")) as other:
        assert other.pragma("journal_mode") == "wal"
        assert other.pragma("integrity_check") == "ok"


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path, files_limited_to: FilesLimitedTo) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.append([UserEvent("u", Event("i", 1.0))])
    events = [UserEvent(f"u{number}", Event("item" * 20, 2.0)) for number in range(500)]
    largest_bytes = max(path.stat().st_size for path in tmp_path.iterdir())
    with files_limited_to(largest_bytes):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"state\.db"):
                store.append(events)
        assert list(store.read("u", 5)) == [Event("i", 1.0)]
    assert store.append(events) == 500
    assert store.count_users() == 501


def test_a_file_that_is_no_database_is_an_integrity_error(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"user_id,item_id,timestamp\n" * 100)
    with pytest.raises(IntegrityError, match=r"state\.db"):
        SqliteStateStore(path)
    assert path.read_bytes().startswith(b"user_id")


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE invoice (number)")
    with pytest.raises(IncompatibleError, match="not a state store"):
        SqliteStateStore(tmp_path / "other.db")
    with apsw.Connection(str(tmp_path / "other.db")) as other:
        assert other.execute("SELECT name FROM sqlite_schema").get == "invoice"


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteStateStore(tmp_path / "state.db").close()
    with apsw.Connection(str(tmp_path / "state.db")) as other:
        other.pragma("user_version", 2)
    with pytest.raises(IncompatibleError, match="schema version is 2"):
        SqliteStateStore(tmp_path / "state.db")


def test_a_damaged_file_is_an_integrity_error(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStateStore(path)
    store.append(UserEvent(f"u{i}", Event(f"i{i}", float(i))) for i in range(2_000))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        SqliteStateStore(path).read("u5", 10)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        SqliteStateStore(tmp_path / "nowhere" / "state.db")
