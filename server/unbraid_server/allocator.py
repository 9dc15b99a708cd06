"""Where the memory of this process comes from, and how what was given back is kept."""

from __future__ import annotations

import ctypes
import os

import pyarrow as pa

__all__ = ["keep_memory_together"]

M_ARENA_MAX = -8
ARENAS = 2
# What the operator has set holds.
ARENAS_VARIABLE = "MALLOC_ARENA_MAX"
ARROW_VARIABLE = "ARROW_DEFAULT_MEMORY_POOL"


def keep_memory_together() -> None:
    """Let all threads of this process, and Arrow, allocate from two arenas of glibc instead of eight per core.

    Every arena keeps the holes that releases and calls leave behind. With a hundred threads for calls these add up with
    every swap of a release; with two arenas they are used again. Arrow's own allocators keep a heap for each thread
    that has ever used them: with upserts from many threads, they doubled the memory of a server. Call it before threads
    are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, others need it not
    if mallopt is not None and ARENAS_VARIABLE not in os.environ:
        mallopt(M_ARENA_MAX, ARENAS)
    if ARROW_VARIABLE not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
