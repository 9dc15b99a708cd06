"""What every CatalogueStore promises, run on each implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.ports import CatalogueStore
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore


class MemoryCatalogueStore:
    """The contract in its shortest form: the oracle of the property tests."""

    def __init__(self) -> None:
        self._changes: dict[str, ItemChange] = {}
        self._last = 0

    def apply(self, changes: Sequence[ItemChange]) -> int:
        """Number the changes; the latest of each item stays."""
        for change in changes:
            self._last += 1
            known = self._changes.pop(change.item_id, None)
            kept = known.vector if known and change.item else None
            self._changes[change.item_id] = replace(change, vector=change.vector or kept, sequence=self._last)
        return self._last

    def changes(self, after: int) -> Sequence[ItemChange]:
        """A dict keeps the order."""
        return [change for change in self._changes.values() if change.sequence > after]

    def last_sequence(self) -> int:
        """Counted."""
        return self._last

    def continue_after(self, sequence: int) -> None:
        """Count on from there."""
        self._last = max(self._last, sequence)

    def prune(self, through: int) -> int:
        """Keep the others."""
        kept = {change.item_id: change for change in self.changes(through)}
        pruned_count = len(self._changes) - len(kept)
        self._changes = kept
        return pruned_count

    def close(self) -> None:
        """Nothing to release."""


Opener = Callable[[], CatalogueStore]


@pytest.fixture(params=["sqlite", "memory"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens empty stores of one implementation."""
    opened: list[CatalogueStore] = []

    def open_store() -> CatalogueStore:
        sqlite = request.param == "sqlite"
        store = SqliteCatalogueStore(tmp_path / f"{len(opened)}.sqlite") if sqlite else MemoryCatalogueStore()
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the zone follows
values = (
    texts
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | times
    | st.lists(texts, max_size=3).map(tuple)
)
vectors = st.builds(
    ItemVector,
    st.sampled_from(["space-1", "space-2"]),
    st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2).map(lambda numbers: np.array(numbers, np.float32)),
    st.booleans(),
)


@st.composite
def drawn_change(draw: st.DrawFn) -> ItemChange:
    item_id = draw(st.sampled_from(["a", "b", "c", "d", "ä"]))
    if draw(st.integers(0, 3)) == 0:
        return ItemChange(item_id, None)
    attributes = draw(st.dictionaries(texts, values, max_size=3))
    item = Item(item_id, draw(texts), tuple(draw(st.lists(texts, max_size=2))), attributes)
    return ItemChange(item_id, item, draw(st.none() | vectors))


def plain(change: ItemChange) -> tuple[object, ...]:
    vector = change.vector
    where = None if vector is None else (vector.space_id, vector.vector_D.tolist(), vector.is_from_text)
    # True == 1 == 1.0, but an attribute comes back as what it was.
    kinds = [] if change.item is None else [type(value) for value in change.item.attributes.values()]
    return change.item_id, change.sequence, change.item, kinds, where


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.lists(drawn_change(), max_size=4), max_size=6), data=st.data())
def test_stored_changes_are_those_of_the_oracle(
    fresh: Opener, calls: list[list[ItemChange]], data: st.DataObject
) -> None:
    store, oracle = fresh(), MemoryCatalogueStore()
    for changes in calls:
        assert store.apply(changes) == oracle.apply(changes)
        after = data.draw(st.integers(0, store.last_sequence()))
        assert list(map(plain, store.changes(after))) == list(map(plain, oracle.changes(after)))
        if data.draw(st.booleans()):
            assert store.prune(after) == oracle.prune(after)
    assert store.last_sequence() == oracle.last_sequence()
    assert list(map(plain, store.changes(0))) == list(map(plain, oracle.changes(0)))


def upsert(item_id: str, vector: ItemVector | None = None) -> ItemChange:
    return ItemChange(item_id, Item(item_id, title=f"the {item_id}"), vector)


def test_a_new_store_is_empty(fresh: Opener) -> None:
    store = fresh()
    assert store.last_sequence() == 0
    assert list(store.changes(0)) == []


def test_numbers_go_on_after_pruning(fresh: Opener) -> None:
    store = fresh()
    store.apply([upsert("a"), upsert("b")])
    assert store.prune(2) == 2
    assert store.last_sequence() == 2
    assert store.apply([upsert("a")]) == 3


def test_numbers_go_on_after_those_of_a_release(fresh: Opener) -> None:
    store = fresh()
    store.continue_after(41)
    assert store.apply([upsert("a")]) == 42
    store.continue_after(7)
    assert store.last_sequence() == 42


def test_a_change_without_a_vector_keeps_the_one_before_unless_the_item_was_deleted(fresh: Opener) -> None:
    store = fresh()
    vector = ItemVector("space", np.array([0.6, 0.8], np.float32), is_from_text=True)
    store.apply([upsert("a", vector), upsert("b", vector)])
    store.apply([upsert("a"), ItemChange("b", None)])
    store.apply([upsert("b")])
    kept, lost = store.changes(0)
    assert kept.vector is not None
    assert (kept.vector.space_id, kept.vector.is_from_text) == ("space", True)
    assert lost.vector is None


def test_threads_share_a_store(fresh: Opener) -> None:
    store = fresh()
    with ThreadPoolExecutor(4) as pool:
        lasts = list(pool.map(lambda n: store.apply([upsert(f"{n}-{i}") for i in range(5)]), range(8)))
    assert sorted(lasts) == list(range(5, 41, 5))
    assert len(store.changes(0)) == 40
