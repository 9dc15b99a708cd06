"""Processes that end with the one that started them, however that ends.

The parent holds the other end of standard input. When it dies, the kernel closes that end.
"""

from __future__ import annotations

import os
import signal
from threading import Thread

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From now on, this process gets SIGTERM when its standard input is closed."""
    Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    # Not through sys.stdin: its lock, held by a thread, would abort the end of the interpreter.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
