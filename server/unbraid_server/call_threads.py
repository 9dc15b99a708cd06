"""Threads that calls run in, and how many calls have one or wait for one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock
from typing import Any, ParamSpec, TypeVar

__all__ = ["CallThreads"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class CallThreads(ThreadPoolExecutor):
    """A pool that counts, and whose threads are all there from the beginning.

    gRPC hands it every call that it accepts, and the count is right from then on. A call that counted itself would do
    so only when its thread runs, and in a burst many are accepted before.

    By itself a pool starts a thread whenever none is idle. A server that has been busy would have more threads, and
    more memory, than one that has not; and the first busy moment, which is a bad one, would have to wait for them.

    Args:
        thread_count: how many threads.
        name: what their names begin with.
        initializer: called first in each of them.

    Attributes:
        call_count: calls that were handed over and have not ended.
    """

    def __init__(self, thread_count: int, name: str, initializer: Callable[[], object] | None = None) -> None:
        super().__init__(thread_count, name, initializer)
        self._lock = Lock()
        self.call_count = 0
        all_of_them = Barrier(thread_count + 1)
        for _ in range(thread_count):
            super().submit(all_of_them.wait)
        all_of_them.wait()

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Have a thread do it as soon as one is free."""
        future = super().submit(fn, *args, **kwargs)
        with self._lock:
            self.call_count += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: Future[Any]) -> None:
        with self._lock:
            self.call_count -= 1
