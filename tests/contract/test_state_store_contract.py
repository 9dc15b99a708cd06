"""What every StateStore promises, run on each implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.ports import Event, StateStore, UserEvent
from unbraid_server.sqlite_state import SqliteStateStore


class MemoryStateStore:
    """The contract in its shortest form: the oracle of the property tests."""

    def __init__(self) -> None:
        self._events: dict[str, dict[Event, None]] = {}

    def append(self, events: Iterable[UserEvent]) -> int:
        """Keep each event once, in order of arrival."""
        before = self._count()
        for user_event in events:
            if not user_event.user_id or not user_event.event.item_id:
                raise InvalidInput("user_id", "is empty")
            if abs(user_event.event.time_s) == float("inf") or user_event.event.time_s != user_event.event.time_s:
                raise InvalidInput("time_s", "is not finite")
            self._events.setdefault(user_event.user_id, {})[user_event.event] = None
        return self._count() - before

    def read(self, user_id: str, limit: int) -> Sequence[Event]:
        """Sort by time, stably."""
        if user_id not in self._events:
            raise NotFound(f"no {user_id}")
        return sorted(self._events[user_id], key=lambda event: event.time_s)[-limit:]

    def delete_user(self, user_id: str) -> int:
        """Drop the user's events."""
        return len(self._events.pop(user_id, {}))

    def count_users(self) -> int:
        """Count the keys."""
        return len(self._events)

    def close(self) -> None:
        """Nothing to release."""

    def _count(self) -> int:
        return sum(map(len, self._events.values()))


Opener = Callable[[], StateStore]


@pytest.fixture(params=["sqlite", "memory"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens empty stores of one implementation."""
    opened: list[StateStore] = []

    def open_store() -> StateStore:
        store = MemoryStateStore() if request.param == "memory" else SqliteStateStore(tmp_path / f"{len(opened)}.db")
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
events = st.builds(Event, ids, st.floats(-1e11, 1e11) | st.integers(0, 3).map(float), st.sampled_from(["", "view"]))
user_events = st.lists(st.builds(UserEvent, st.sampled_from(["u", "v", "w"]) | ids, events), max_size=30)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(drawn=user_events, limit=st.integers(1, 10))
def test_reads_are_those_of_the_oracle(fresh: Opener, drawn: list[UserEvent], limit: int) -> None:
    store, oracle = fresh(), MemoryStateStore()
    assert store.append(drawn) == oracle.append(drawn)
    assert store.count_users() == oracle.count_users()
    for user_id in {user_event.user_id for user_event in drawn}:
        assert list(store.read(user_id, limit)) == list(oracle.read(user_id, limit))


@few
@given(drawn=user_events)
def test_storing_again_changes_nothing(fresh: Opener, drawn: list[UserEvent]) -> None:
    store = fresh()
    store.append(drawn)
    before = {user_event.user_id: list(store.read(user_event.user_id, 100)) for user_event in drawn}
    assert store.append(drawn) == 0
    assert {user_id: list(store.read(user_id, 100)) for user_id in before} == before


def test_events_of_equal_time_keep_the_order_of_storing(fresh: Opener) -> None:
    store = fresh()
    items = ["zebra", "ant", "mole"]
    store.append(UserEvent("u", Event(item_id, 7.0)) for item_id in items)
    assert [event.item_id for event in store.read("u", 10)] == items
    assert [event.item_id for event in store.read("u", 2)] == items[-2:]


def test_a_large_lazy_import_is_stored_whole(fresh: Opener) -> None:
    store = fresh()
    lazy = (UserEvent(f"user-{i % 7}", Event(f"item-{i}", float(i))) for i in range(5_003))
    assert store.append(lazy) == 5_003
    assert store.count_users() == 7
    newest = store.read("user-0", 3)
    assert [event.item_id for event in newest] == ["item-4984", "item-4991", "item-4998"]


def test_an_unknown_user_is_not_found(fresh: Opener) -> None:
    store = fresh()
    with pytest.raises(NotFound, match="nobody"):
        store.read("nobody", 10)


def test_a_deleted_user_is_gone_and_the_others_stay(fresh: Opener) -> None:
    store = fresh()
    store.append(UserEvent(user_id, Event(f"item-{i}", float(i))) for user_id in "ab" for i in range(4))
    assert store.delete_user("a") == 4
    assert store.delete_user("a") == 0
    assert store.count_users() == 1
    assert len(store.read("b", 10)) == 4
    with pytest.raises(NotFound):
        store.read("a", 10)


@pytest.mark.parametrize(
    "bad",
    [
        UserEvent("", Event("i", 1.0)),
        UserEvent("u", Event("", 1.0)),
        UserEvent("u", Event("i", float("nan"))),
        UserEvent("u", Event("i", float("-inf"))),
    ],
)
def test_an_event_that_cannot_be_read_back_is_refused(fresh: Opener, bad: UserEvent) -> None:
    store = fresh()
    with pytest.raises(InvalidInput):
        store.append([bad])
    assert store.count_users() == 0


def test_threads_share_a_store(fresh: Opener) -> None:
    store = fresh()
    with ThreadPoolExecutor(4) as pool:
        stored = pool.map(
            lambda user: store.append(UserEvent(f"u{user}", Event(f"i{i}", float(i))) for i in range(50)), range(8)
        )
        assert sum(stored) == 8 * 50
        counts = pool.map(lambda user: len(store.read(f"u{user}", 100)), range(8))
        assert list(counts) == [50] * 8
