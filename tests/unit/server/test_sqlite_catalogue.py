"""The SQLite file of the catalogue store: durability, other connections, and files that are not ours."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from unbraid_core.errors import IncompatibleError
from unbraid_core.item_change import Item, ItemChange
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore


def upsert(item_id: str) -> ItemChange:
    return ItemChange(item_id, Item(item_id))


def test_a_second_store_on_the_same_file_sees_what_was_committed(tmp_path: Path) -> None:
    writer, reader = (SqliteCatalogueStore(tmp_path / "catalogue.sqlite") for _ in range(2))
    writer.apply([upsert("a"), upsert("b")])
    assert [change.item_id for change in reader.changes(0)] == ["a", "b"]
    assert reader.apply([upsert("a")]) == 3
    assert [(change.item_id, change.sequence) for change in writer.changes(0)] == [("b", 2), ("a", 3)]


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    store = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    store.apply([upsert("a"), ItemChange("b", None)])
    store.close()
    again = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    assert [(change.item_id, change.item is None) for change in again.changes(0)] == [("a", False), ("b", True)]


def test_commits_reach_the_disk(tmp_path: Path) -> None:
    SqliteCatalogueStore(tmp_path / "catalogue.sqlite").apply([upsert("a")])
    with apsw.Connection(str(tmp_path / "catalogue.sqlite")) as other:
        assert other.pragma("journal_mode") == "wal"
        assert other.pragma("integrity_check") == "ok"


def test_a_state_store_is_no_catalogue_store(tmp_path: Path) -> None:
    SqliteStateStore(tmp_path / "state.db").close()
    with pytest.raises(IncompatibleError, match="not a catalogue store"):
        SqliteCatalogueStore(tmp_path / "state.db")
