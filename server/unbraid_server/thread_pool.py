"""Pools whose threads are all there from the beginning."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

__all__ = ["full_pool"]


def full_pool(size: int, name: str, initializer: Callable[[], object] | None = None) -> ThreadPoolExecutor:
    """A pool that starts its threads now. By itself it would start one whenever none is idle.

    A server that has been busy would have more threads, and more memory, than one that has not; and the first busy
    moment, which is a bad one, would have to wait for them.

    Args:
        size: how many threads.
        name: what their names begin with.
        initializer: called first in each of them.
    """
    pool = ThreadPoolExecutor(size, name, initializer)
    all_of_them = Barrier(size + 1)
    for _ in range(size):
        pool.submit(all_of_them.wait)
    all_of_them.wait()
    return pool
