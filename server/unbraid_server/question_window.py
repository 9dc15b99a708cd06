"""The questions of a stream that have arrived and wait for their answers."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Condition

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import CallerGone, Unavailable
from unbraid_server.batch_requests import MAX_ENTRIES, entry_count

__all__ = ["QuestionWindow"]


class QuestionWindow:
    """Between the thread that reads a stream and the one that answers it.

    It is bounded in questions and in what they list. While it is full the stream is not read, so that flow control
    stops the caller.

    Args:
        count_limit: questions that may wait.
    """

    def __init__(self, count_limit: int) -> None:
        self._count_limit = count_limit
        self._changed = Condition()
        self._waiting: list[pb.StreamRecommendRequest] = []
        self._entry_count = 0
        self._is_ended = False
        self._error: Exception | None = None
        self._is_stopping = False
        self._is_left = False

    def put(self, question: pb.StreamRecommendRequest) -> bool:
        """Add a question when there is room for it, and return whether anybody still takes questions."""
        entries = entry_count(question.request)
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._has_room(entries))
            if not self._is_closed:
                self._waiting.append(question)
                self._entry_count += entries
                self._changed.notify_all()
            return not self._is_closed

    def take(self) -> Sequence[pb.StreamRecommendRequest]:
        """All that have arrived, at least one; waits for the first of them. Nothing at the end of the stream.

        Raises:
            Exception: what ended the stream too early, once what has arrived before is taken.
            CallerGone: nobody waits for the answers any more.
            Unavailable: the server stops, and what has arrived before is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._is_ended or self._is_closed)
            if self._is_left:
                raise CallerGone("the caller left the stream, or its deadline passed")
            taken, self._waiting, self._entry_count = self._waiting, [], 0
            if not taken and self._error is not None:
                raise self._error
            if not taken and not self._is_ended:
                raise Unavailable("the server stops; open another stream for questions without an answer")
            self._changed.notify_all()
            return taken

    def end(self, error: Exception | None = None) -> None:
        """No more questions will come, because of an error where there is one."""
        with self._changed:
            self._is_ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Let no more questions in; those that have arrived are still taken."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Nobody takes questions any more, or waits for answers."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    @property
    def _is_closed(self) -> bool:
        return self._is_stopping or self._is_left

    def _has_room(self, entries: int) -> bool:
        fits = self._entry_count + entries <= MAX_ENTRIES and len(self._waiting) < self._count_limit
        return fits or not self._waiting
