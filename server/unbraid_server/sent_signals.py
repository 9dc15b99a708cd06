"""The signals that a process is sent, in the order in which they come, none of them missed."""

from __future__ import annotations

import os
import signal

__all__ = ["SentSignals"]


class SentSignals:
    """Receives some signals from now on. Make it in the main thread, once in a process.

    Python runs a handler when the main thread gets to its next instruction. Where that one is about to wait for a lock,
    an event or a queue as the signal comes, it waits, and the handler with it: a busy server did not hear that it was
    to end. The number of a signal is in the pipe before that, whatever the main thread does, and reading waits for it.

    Args:
        numbers: which signals.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._source, sink = os.pipe()
        os.set_blocking(sink, False)
        signal.set_wakeup_fd(sink)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def wait(self) -> signal.Signals:
        """The next one, as soon as there is one."""
        return signal.Signals(os.read(self._source, 1)[0])
