"""Threads for calls: all work at once where there is enough to do, and no more of them than there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from threading import Barrier, Event

import pytest

from unbraid_server.call_threads import CallThreads

THREADS, TIMEOUT_S = 8, 30.0


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    with closing(CallThreads(THREADS, "test")) as threads:
        yield threads


def test_calls_one_after_the_other_run_in_few_threads(threads: CallThreads) -> None:
    # The thread that has ended a call is on its way back when the next one comes, so there may be two or three.
    names = {threads.submit(lambda: threading.current_thread().name).result(TIMEOUT_S) for _ in range(50 * THREADS)}
    assert len(names) < THREADS / 2


def test_as_many_calls_run_at_once_as_there_are_threads_and_the_others_wait(threads: CallThreads) -> None:
    together, gate = Barrier(THREADS + 1), Event()

    def work() -> None:
        together.wait(TIMEOUT_S)
        gate.wait(TIMEOUT_S)

    running = [threads.submit(work) for _ in range(THREADS)]
    together.wait(TIMEOUT_S)
    waiting = [threads.submit(int, number) for number in range(3)]
    assert threads.call_count == THREADS + 3
    assert not any(future.done() for future in waiting)
    gate.set()
    assert [future.result(TIMEOUT_S) for future in waiting] == [0, 1, 2]
    assert [future.result(TIMEOUT_S) for future in running] == [None] * THREADS
    assert threads.call_count == 0


def test_a_call_that_raises_does_not_take_its_thread_with_it(threads: CallThreads) -> None:
    for _ in range(2 * THREADS):
        with pytest.raises(ZeroDivisionError):
            threads.submit(divmod, 1, 0).result(TIMEOUT_S)
    assert threads.submit(divmod, 7, 2).result(TIMEOUT_S) == (3, 1)
    assert threads.call_count == 0


def test_what_a_call_saw_is_let_go_of_when_it_has_ended(threads: CallThreads) -> None:
    gone = Event()

    class Seen:
        def __del__(self) -> None:
            gone.set()

    threads.submit(id, Seen()).result(TIMEOUT_S)
    assert gone.wait(TIMEOUT_S)


def test_every_thread_is_initialised_and_close_waits_for_what_was_handed_over() -> None:
    initialised: list[str] = []
    done: list[int] = []
    gate = Event()
    threads = CallThreads(2, "test", lambda: initialised.append(threading.current_thread().name))

    def work(number: int) -> None:
        gate.wait(TIMEOUT_S)
        done.append(number)

    for number in range(5):
        threads.submit(work, number)
    gate.set()
    threads.close()
    assert sorted(initialised) == ["test_0", "test_1"]
    assert sorted(done) == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError):
        threads.submit(print)
