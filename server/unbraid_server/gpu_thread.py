"""The one thread of a process that computes on a GPU.

ONNX Runtime keeps streams, handles and memory of a GPU for each thread that runs a session: with a session run by one
thread after the other, memory grows until none is left (issue 29351 of microsoft/onnxruntime), and CUDA graphs belong
to the thread that recorded them. A thread that ends takes those with it, possibly while its session goes, too. So there
is one thread for all sessions, and it stays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import ParamSpec, TypeVar

from unbraid_server.call_threads import CallThreads

__all__ = ["in_gpu_thread"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_starting = Lock()


def in_gpu_thread(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Have that thread do something, and wait for it; not to be called by what it does."""
    with _starting:
        thread = _thread()
    return thread.submit(function, *args, **kwargs).result()


@cache
def _thread() -> CallThreads:
    return CallThreads(1, "gpu")
