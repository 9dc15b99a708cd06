"""``python -m unbraid_server.limited MODULE ARGUMENT...`` runs a module that must not be able to do harm.

The limits are set by the process on itself: setting them between fork and exec, in a parent with threads, can deadlock.
Address space is not limited. A memory-mapped index and the reservations of CUDA and of thread stacks take many times
the memory that is really used, so any useful bound on it would refuse sound releases.
"""

from __future__ import annotations

import os
import resource
import runpy
import sys

__all__ = ["main"]

CPU_LIMIT_S = 120
NICE = 10


def main() -> None:
    """Limit this process, then become the module."""
    # The kernel ends an endless loop in native code too: first with SIGXCPU, which says why, then for good.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 1))
    # A crash in native code is an answer, not something to debug; a core file would be as large as the release.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Nor may it take processor time from a server that answers beside it.
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
