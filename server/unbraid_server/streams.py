"""The open streams of a server: how many there may be, the threads that read them, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import grpc

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import Overloaded, Unavailable
from unbraid_server.call_threads import CallThreads
from unbraid_server.question_window import QuestionWindow

__all__ = ["Streams"]

RETRY_AFTER_S = 1.0


class Streams:
    """Every stream takes two threads as long as it is open: one that answers it, and one of these that reads it.

    Args:
        limit: streams that may be open at once.
        window: questions that may wait in each.

    Attributes:
        threads: for the handlers of streams, so that they take none of other calls; one more than may be open, to
            refuse those that are too many.
    """

    def __init__(self, limit: int, window: int) -> None:
        self._limit, self._window = limit, window
        self.threads = CallThreads(limit + 1, "stream")
        self._readers = CallThreads(limit, "stream-reader")
        self._lock = Lock()
        self._open: set[QuestionWindow] = set()
        self._is_stopping = False

    @contextmanager
    def open(
        self, questions: Iterator[pb.StreamRecommendRequest], context: grpc.ServicerContext
    ) -> Iterator[QuestionWindow]:
        """Read a stream as long as it is answered.

        Raises:
            Overloaded: too many are open.
            Unavailable: the server stops.
        """
        window = QuestionWindow(self._window)
        with self._lock:
            if self._is_stopping:
                raise Unavailable("the server stops; open the stream again")
            if len(self._open) >= self._limit:
                raise Overloaded(f"{self._limit} streams are open already; close others, or try later", RETRY_AFTER_S)
            self._open.add(window)
        try:
            # Called at once where the call has ended already, or else when it ends.
            if not context.add_callback(window.leave):
                window.leave()
            self._readers.submit(_read, questions, window)
            yield window
        finally:
            window.leave()
            with self._lock:
                self._open.remove(window)

    def stop(self) -> None:
        """Let no question in any more, and open no stream; what has arrived is still answered."""
        with self._lock:
            self._is_stopping = True
            for window in self._open:
                window.stop()

    def close(self) -> None:
        """Return when all threads have ended; the calls have to be over, or be over soon."""
        self.threads.close()
        self._readers.close()


def _read(questions: Iterator[pb.StreamRecommendRequest], window: QuestionWindow) -> None:
    try:
        for question in questions:
            if not window.put(question):
                return
    except grpc.RpcError:
        # What gRPC raises where the caller has gone.
        window.leave()
    except Exception as error:  # noqa: BLE001 - it is raised again in the thread that answers
        window.end(error)
    else:
        window.end()
