"""The one thread of a process that computes on a GPU.

With a session of ONNX Runtime that one thread after the other runs, memory of the GPU grows (issue 29351 of
microsoft/onnxruntime), and CUDA graphs belong to the thread that recorded them. So there is one thread for all
sessions, and it stays.
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
