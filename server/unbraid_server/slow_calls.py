"""Calls that took long, with where the time went; so many a second, so that a slow server does not also write a lot."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import Any

from structlog.typing import FilteringBoundLogger

from unbraid_server.batch_record import Turn
from unbraid_server.call_record import CallRecord
from unbraid_server.marks import Part

__all__ = ["SlowCalls"]

LINES_PER_SECOND = 10


class SlowCalls:
    """A witness of calls; streams are never slow, for their callers decide how long they take.

    Args:
        log: where a slow call gets a line.
        threshold_s: calls that take less are not slow.
    """

    def __init__(self, log: FilteringBoundLogger, threshold_s: float) -> None:
        self._log = log
        self._threshold_s = threshold_s
        self._lock = Lock()
        self._second = 0
        self._line_count = 0
        self._suppressed_count = 0

    def ended(self, call: CallRecord) -> None:
        """A call is done."""
        if call.is_stream or call.duration_s < self._threshold_s:
            return
        suppressed_count = self._admit(int(call.ended_s))
        if suppressed_count is None:
            return
        self._log.warning(
            "slow call",
            request_id=call.request_id,
            release_id=call.release_id,
            method=call.method,
            code=call.code,
            duration_ms=_milliseconds(call.duration_s),
            steps_ms=_parts_ms(call.parts),
            suppressed_lines=suppressed_count,
            **({} if call.turn is None else _turn_facts(call.turn)),
        )

    def _admit(self, second: int) -> int | None:
        """None where this second has its lines, else how many were left out since the last one."""
        with self._lock:
            if second != self._second:
                self._second, self._line_count = second, 0
            if self._line_count == LINES_PER_SECOND:
                self._suppressed_count += 1
                return None
            self._line_count += 1
            suppressed_count, self._suppressed_count = self._suppressed_count, 0
            return suppressed_count


def _turn_facts(turn: Turn) -> dict[str, Any]:
    """What the questions of a call were, and what became of them; of several the largest."""
    facts: dict[str, Any] = {
        "queries": len(turn.queries),
        "history_events": max(len(query.history) for query in turn.queries),
    }
    if turn.batch is not None:
        facts |= {
            "batch_queries": turn.batch.query_count,
            "stages_ms": _parts_ms(turn.batch.stages),
            "profiles": sorted({ranking.profile.value for ranking in turn.rankings}),
            "plans": sorted({ranking.plan.value for ranking in turn.rankings if ranking.plan is not None}),
            "candidates": max(ranking.candidate_count for ranking in turn.rankings),
        }
    return facts


def _parts_ms(parts: list[Part]) -> dict[str, float]:
    """By name; a stream comes to its steps again and again."""
    duration_s: dict[str, float] = defaultdict(float)
    for part in parts:
        duration_s[part.name] += part.duration_s
    return {name: _milliseconds(value) for name, value in duration_s.items()}


def _milliseconds(duration_s: float) -> float:
    return round(duration_s * 1e3, 3)
