"""The micro-batcher: calls that arrive while others are answered are answered together.

It has no thread and never waits for company. Who comes while nothing is answered is answered at once, alone, in its own
thread. Who comes meanwhile waits; when an answer is done, the first of those that wait answers for all of them, up to a
limit. Whoever answers also writes the responses, all together: that takes much less time than in as many threads that
wake up together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from math import inf
from operator import attrgetter
from threading import Lock
from typing import Any, Protocol, TypeVar

from unbraid_core.errors import CallerGone, Overloaded
from unbraid_core.types import Effort, Query, Ranking
from unbraid_server.batch_record import UNWATCHED, BatchRecord, BatchWatch, ShedReason, Turn
from unbraid_server.fair_queue import FairQueue
from unbraid_server.model import Model

__all__ = ["Batcher", "Caller"]

SMOOTHING = 0.2
LEAST_RETRY_S = 0.01

Answer = TypeVar("Answer")
Response = TypeVar("Response")


class Caller(Protocol):
    """Who waits for an answer; a ``grpc.ServicerContext`` is one."""

    def is_active(self) -> bool:
        """Whether anybody still waits."""
        ...

    def time_remaining(self) -> float | None:
        """Seconds until nobody does any more, None where there is no deadline."""
        ...


@dataclass(slots=True, eq=False)
class _Job:
    model: Model
    queries: Sequence[Query]
    caller: Caller
    finish: Callable[[list[Ranking]], Any]
    write: Callable[[Sequence[Any]], Sequence[Any]]
    asked_s: float  # by the clock of the batcher
    turn: Lock
    batch: list[_Job] = field(default_factory=list)  # what this job has to answer, itself first
    rankings: list[Ranking] = field(default_factory=list)
    answer: Any = None  # what ``write`` returned for it
    record: BatchRecord | None = None
    error: Exception | None = None


class Batcher:
    """Lets one thread at a time work, on all that there is to do.

    Args:
        batch_limit: queries that are answered together.
        queue_limit: queries that may wait; more are refused at once.
        clock: seconds, never back; what the estimate of a wait rests on.
        watch: who wants to know how batches go.
        patience_s: queries that have waited for longer are answered with reduced effort.
    """

    def __init__(
        self,
        batch_limit: int,
        queue_limit: int,
        clock: Callable[[], float] = time.perf_counter,
        watch: BatchWatch = UNWATCHED,
        patience_s: float = inf,
    ) -> None:
        self._batch_limit = batch_limit
        self._clock = clock
        self._watch = watch
        self._patience_s = patience_s
        self._lock = Lock()
        self._waiting: FairQueue[_Job] = FairQueue(queue_limit)
        self._is_answering = False
        self._query_s = 0.0

    @property
    def waiting_count(self) -> int:
        """Queries that wait now."""
        return self._waiting.weight

    def recommend(self, model: Model, queries: Sequence[Query], caller: Caller, client: str) -> list[Ranking]:
        """Answer queries with one model, together with others that are asked meanwhile: see ``answer``."""
        return self.answer(model, queries, caller, client, _rankings, _of_each)

    def answer(
        self,
        model: Model,
        queries: Sequence[Query],
        caller: Caller,
        client: str,
        finish: Callable[[list[Ranking]], Answer],
        write: Callable[[Sequence[Answer]], Sequence[Response]],
    ) -> Response:
        """Answer queries with one model, together with others that are asked meanwhile.

        Args:
            model: who answers; queries for different models never meet.
            queries: at least one; what is wrong with one fails all of this call and no other call.
            caller: who waits for the answer.
            client: who shares the queue fairly with the others.
            finish: makes of the rankings an answer, in the thread of whichever call answers; after an error, again.
            write: makes of the answers of several calls that have the same ``write`` what each of them gets.

        Raises:
            Overloaded: too much waits already, or the wait would be longer than the caller has.
            CallerGone: nobody waits for the answer any more.
            InvalidInput: as ``Pipeline.recommend``.
        """
        asked_s = time.perf_counter()
        job = _Job(model, queries, caller, finish, write, self._clock(), Lock())
        job.turn.acquire()
        self._enter(job, client)
        job.turn.acquire()
        # A job that went on listing itself would keep its model alive until the next collection of garbage.
        batch, job.batch = job.batch, []
        if batch:
            self._lead(batch)
        self._watch.taken(Turn(queries, asked_s, job.rankings, job.record))
        if job.error is not None:
            raise job.error
        response: Response = job.answer
        return response

    def _enter(self, job: _Job, client: str) -> None:
        """Give the job its turn where nothing is answered, else let it wait."""
        with self._lock:
            if not self._is_answering:
                self._is_answering = True
                job.batch = [job]
                job.turn.release()
                return
            wait_s = self._query_s * (self._waiting.weight + len(job.queries))
            remaining_s = job.caller.time_remaining()
            if remaining_s is not None and remaining_s < wait_s:
                self._watch.shed(ShedReason.DEADLINE)
                raise _overloaded(f"an answer takes about {wait_s:.2g} s now, the deadline is earlier", wait_s)
            for displaced in self._waiting.put(client, job, len(job.queries)):
                self._watch.shed(ShedReason.QUEUE_FULL)
                displaced.error = _overloaded(f"{self._waiting.weight} questions wait already", wait_s)
                displaced.turn.release()

    def _lead(self, batch: list[_Job]) -> None:
        """Answer a batch, give the next one to its first job, and let the others of this one go."""
        began_s = self._clock()
        for job in batch:
            if began_s - job.asked_s > self._patience_s:
                job.queries = [replace(query, effort=Effort.REDUCED) for query in job.queries]
        try:
            self._answer(batch)
        finally:
            query_count = sum(len(job.queries) for job in batch)
            self._pass_on((self._clock() - began_s) / query_count)
            for job in batch[1:]:
                job.turn.release()

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Answer all jobs at once; where that fails one by one, so that only those fail whose fault it is."""
        queries = [query for job in batch for query in job.queries]
        record = BatchRecord(len(queries))
        try:
            rankings = batch[0].model.pipeline.recommend(queries, record.marks.enter)
            record.degraded_count = sum(ranking.effort is Effort.REDUCED for ranking in rankings)
            record.marks.enter("respond")
            remaining = iter(rankings)
            for job in batch:
                job.rankings = list(islice(remaining, len(job.queries)))
            for write, jobs in groupby(batch, attrgetter("write")):
                alike = list(jobs)
                for job, answer in zip(alike, write([job.finish(job.rankings) for job in alike]), strict=True):
                    job.answer = answer
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread of each job
            if len(batch) == 1:
                batch[0].error = error
                return
            for job in batch:
                self._answer([job])
            return
        record.end()
        for job in batch:
            job.record = record
        self._watch.answered(record)

    def _pass_on(self, query_s: float) -> None:
        gone: list[_Job] = []
        with self._lock:
            self._query_s += SMOOTHING * (query_s - self._query_s)
            batch = self._next_batch(gone)
            self._is_answering = bool(batch)
        for job in gone:
            self._watch.shed(ShedReason.CALLER_GONE)
            job.error = CallerGone("the caller left, or its deadline passed, before its turn came")
            job.turn.release()
        if batch:
            batch[0].batch = batch
            batch[0].turn.release()

    def _next_batch(self, gone: list[_Job]) -> list[_Job]:
        """What can be answered together: of one model, up to the limit, and somebody waits for it."""
        batch: list[_Job] = []
        query_count = 0
        while (job := self._waiting.peek()) is not None:
            if batch and (job.model is not batch[0].model or query_count + len(job.queries) > self._batch_limit):
                break
            self._waiting.pop()
            if job.caller.is_active():
                batch.append(job)
                query_count += len(job.queries)
            else:
                gone.append(job)
        return batch


def _rankings(rankings: list[Ranking]) -> list[Ranking]:
    return rankings


def _of_each(rankings: Sequence[list[Ranking]]) -> Sequence[list[Ranking]]:
    return rankings


def _overloaded(problem: str, wait_s: float) -> Overloaded:
    return Overloaded(f"{problem}; try again later, or ask less often", max(wait_s, LEAST_RETRY_S))
