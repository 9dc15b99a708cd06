"""Memory that the C library would keep for each thread."""

from __future__ import annotations

import os
import platform
import sys

__all__ = ["do_without_thread_caches"]

VARIABLE = "GLIBC_TUNABLES"
TUNABLE = "glibc.malloc.tcache_count"


def do_without_thread_caches() -> None:
    """Start this process anew where glibc would keep small pieces of memory for each thread that has freed some.

    What so many threads keep lies scattered between what comes later, and a server grew with every release that it took
    over. glibc reads the setting when a program starts and not again; processes that this one starts have it from the
    environment. What the operator has set holds.
    """
    chosen = os.environ.get(VARIABLE, "")
    if TUNABLE in chosen or platform.libc_ver()[0] != "glibc":
        return
    os.environ[VARIABLE] = ":".join(filter(None, (chosen, f"{TUNABLE}=0")))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted: it is this command
