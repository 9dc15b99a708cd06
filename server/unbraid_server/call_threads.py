"""Threads that calls run in, and how many calls have one or wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, NamedTuple, ParamSpec, TypeVar

__all__ = ["CallThreads"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class CallThreads(ThreadPoolExecutor):
    """Threads that are all there from the beginning, of which the one that was busy last is the next to work.

    gRPC hands over every call that it accepts, and the count is right from then on. A call that counted itself would do
    so only when its thread runs, and in a burst many are accepted before.

    The library's own executor, which gRPC insists on, has its threads take turns: so all of their stacks come into
    memory, and each call begins in the thread that has rested longest.

    Args:
        thread_count: how many threads.
        name: what their names begin with.
        initializer: called first in each of them.

    Attributes:
        call_count: calls that were handed over and have not ended.
    """

    def __init__(self, thread_count: int, name: str, initializer: Callable[[], object] | None = None) -> None:
        super().__init__(thread_count, name)  # its threads are never started
        self._initialize = initializer
        self._lock = Lock()
        self.call_count = 0
        self._waiting: deque[_Call] = deque()
        self._idle: list[_Seat] = []
        self._is_closed = False
        self._crew = [Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(thread_count)]
        for thread in self._crew:
            thread.start()

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Have a thread do it as soon as one is free."""
        future: Future[Result] = Future()
        future.add_done_callback(self._ended)
        call = _Call(future, fn, args, kwargs)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the threads for calls have ended")
            self.call_count += 1
            if not self._idle:
                self._waiting.append(call)
                return future
            seat = self._idle.pop()
        seat.give(call)
        return future

    def close(self) -> None:
        """Take no more calls, and return when those that were handed over have ended."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for seat in idle:
            seat.give(None)
        for thread in self._crew:
            thread.join()

    def _ended(self, _future: Future[Any]) -> None:
        with self._lock:
            self.call_count -= 1

    def _work(self) -> None:
        if self._initialize is not None:
            self._initialize()
        seat = _Seat()
        while (call := self._next(seat)) is not None:
            call.run()
            del call  # with all that it has seen: the next one may be long in coming

    def _next(self, seat: _Seat) -> _Call | None:
        """Wait for a call; None where there will be no more."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._is_closed:
                return None
            self._idle.append(seat)
        return seat.take()


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    positional: tuple[Any, ...]
    named: dict[str, Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.positional, **self.named)
        except BaseException as error:  # noqa: BLE001 - whoever asks the future for its result sees it
            self.future.set_exception(error)
            del self  # the error knows this frame, and would keep itself in memory
        else:
            self.future.set_result(result)


def _taken() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Seat:
    """Where an idle thread waits for a call."""

    call: _Call | None = None
    turn: Lock = field(default_factory=_taken)

    def give(self, call: _Call | None) -> None:
        self.call = call
        self.turn.release()

    def take(self) -> _Call | None:
        self.turn.acquire()
        call, self.call = self.call, None
        return call
