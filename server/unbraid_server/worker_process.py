"""A worker as its supervisor sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

from pydantic import TypeAdapter

from unbraid_server.worker_news import Ready, Refusal, WorkerNews, WorkerOrder

__all__ = ["WorkerProcess"]

NEWS: TypeAdapter[WorkerNews] = TypeAdapter(WorkerNews)


class WorkerProcess:
    """One process, from its start to its end. A worker that is started again is another one.

    Args:
        order: what to do.
        on_news: called in a thread of its own when the worker is ready, and when it has ended.

    Attributes:
        number: of the worker.
        ready: what it said when it was ready, None until then.
        refusal: why it cannot start, None where it did not say.
    """

    def __init__(self, order: WorkerOrder, on_news: Callable[[WorkerProcess], None]) -> None:
        self.number = order.number
        self.ready: Ready | None = None
        self.refusal: str | None = None
        self._on_news = on_news
        # In a group of its own, since Ctrl-C reaches the whole group of a terminal and the supervisor decides who ends.
        # It ends with the supervisor, which holds the other end of its standard input.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "unbraid_server.worker", order.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        Thread(target=self._listen, name=f"worker-{order.number}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.returncode

    @property
    def end(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended gets none."""
        self._process.send_signal(number)

    def _listen(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        for line in self._process.stdout:
            news = NEWS.validate_json(line)
            if isinstance(news, Refusal):
                self.refusal = news.message
            else:
                self.ready = news
                self._on_news(self)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._on_news(self)
