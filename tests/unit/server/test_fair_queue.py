"""The fair queue against a model of it, and what it promises to small clients beside a large one."""

from __future__ import annotations

from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unbraid_server.fair_queue import FairQueue

CAPACITY = 10
CLIENTS = ["a", "b", "c"]

Entry = tuple[str, int, int]  # client, number, weight


class QueueMachine(RuleBasedStateMachine):
    """Whatever goes in comes out once, or was displaced; each client's entries keep their order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[Entry] = FairQueue(CAPACITY)
        self.waiting: list[Entry] = []
        self.numbers = count()

    @rule(client=st.sampled_from(CLIENTS), weight=st.integers(1, 4))
    def put(self, client: str, weight: int) -> None:
        entry = (client, next(self.numbers), weight)
        left = self.queue.put(client, entry, weight)
        if entry in left:
            assert left == [entry], "nobody gives way to what is refused"
            return
        for displaced in left:
            assert self.held(displaced[0]) > self.held(client) + weight, "only who holds more gives way"
            assert displaced == [each for each in self.waiting if each[0] == displaced[0]][-1], "the newest gives way"
            self.waiting.remove(displaced)
        self.waiting.append(entry)

    @precondition(lambda self: self.waiting)
    @rule()
    def pop(self) -> None:
        expected = self.queue.peek()
        entry = self.queue.pop()
        assert entry == expected
        assert entry == next(each for each in self.waiting if each[0] == entry[0]), "oldest of its client first"
        self.waiting.remove(entry)

    @invariant()
    def nothing_is_lost_or_beyond_capacity(self) -> None:
        assert self.queue.weight == sum(weight for _, _, weight in self.waiting) <= CAPACITY
        assert (self.queue.peek() is None) == (not self.waiting)

    def held(self, client: str) -> int:
        return sum(weight for name, _, weight in self.waiting if name == client)


TestQueue = QueueMachine.TestCase


def test_clients_have_their_turn_one_after_the_other() -> None:
    queue: FairQueue[str] = FairQueue(CAPACITY)
    for entry in ["a1", "a2", "a3", "b1", "c1", "b2"]:
        assert queue.put(entry[0], entry, 1) == []
    assert [queue.pop() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_client_that_fills_the_queue_makes_room_for_another() -> None:
    queue: FairQueue[str] = FairQueue(3)
    for number in range(3):
        assert queue.put("greedy", f"g{number}", 1) == []
    assert queue.put("greedy", "g3", 1) == ["g3"]
    assert queue.put("modest", "m0", 1) == ["g2"]
    assert [queue.pop() for _ in range(3)] == ["g0", "m0", "g1"]


def test_nobody_gives_way_to_what_is_refused_all_the_same() -> None:
    queue: FairQueue[str] = FairQueue(CAPACITY)
    for number in range(8):
        assert queue.put("singles", f"s{number}", 1) == []
    assert queue.put("batches", "b0", 6) == ["b0"]
    assert queue.weight == 8


def test_what_never_fits_is_refused() -> None:
    queue: FairQueue[str] = FairQueue(3)
    assert queue.put("a", "huge", 4) == ["huge"]
    assert queue.peek() is None
