"""``python -m unbraid_cli.tethered ARGUMENT...`` is the ``unbraid`` command, tied to the life of its parent.

The parent holds the other end of standard input. However it dies, the kernel closes that end, and this process stops as
on SIGTERM, so a killed demonstration leaves no server behind.
"""

from __future__ import annotations

import os
import signal
from threading import Thread

from unbraid_cli.main import main

__all__: list[str] = []


def _follow() -> None:
    # Not through sys.stdin: its lock, held by a thread, would abort the end of the interpreter.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_follow, daemon=True).start()
    main()
