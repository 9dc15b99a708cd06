"""How the C library keeps memory that was given back."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_memory_together"]

M_ARENA_MAX = -8
ARENAS = 2
# What the operator has set holds.
VARIABLE = "MALLOC_ARENA_MAX"


def keep_memory_together() -> None:
    """Let all threads of this process allocate from two arenas of glibc instead of eight per core.

    Every arena keeps the holes that releases and calls leave behind. With a hundred threads for calls these add up with
    every swap of a release; with two arenas they are used again. Call it before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, others need it not
    if mallopt is not None and VARIABLE not in os.environ:
        mallopt(M_ARENA_MAX, ARENAS)
