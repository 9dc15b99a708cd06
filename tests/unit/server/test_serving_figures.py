"""What a process counts of its calls: everything, whoever counts beside, and nothing that would keep a release."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from unbraid_core.types import Query
from unbraid_server.batch_record import BatchRecord, Turn
from unbraid_server.call_record import CallRecord
from unbraid_server.serving_figures import ServingFigures

METHODS = ("/unbraid.v1.RecommendationService/Recommend", "/unbraid.v1.StatusService/GetStatus")
THREADS, CALLS = 4, 700


class Asked(list[Query]):
    """Queries, as far as they are kept or not."""


def call(figures: ServingFigures, number: int, queries: Asked) -> None:
    """One call of every other method, alone in its batch; every tenth is a stream, every seventh is refused."""
    figures.began()
    record = CallRecord.begin(METHODS[number % 2], "r1", (), is_stream=number % 10 == 0)
    batch = BatchRecord(2)
    for stage in ("encode", "select"):
        batch.marks.enter(stage)
    batch.end()
    figures.answered(batch)
    figures.taken(Turn(queries, batch.began_s, [], batch))
    record.end("OK" if number % 7 else "NOT_FOUND")
    figures.ended(record)


def test_no_call_is_lost_while_several_threads_count_and_another_looks() -> None:
    figures = ServingFigures()

    def make_calls(_: int) -> None:
        for number in range(CALLS):
            call(figures, number, Asked())

    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(copy_context().run, make_calls, each) for each in range(THREADS)]
        while not all(each.done() for each in running):
            seen = figures.snapshot()
            assert 0 <= seen.in_flight_count <= THREADS
            assert sum(seen.calls.values()) <= THREADS * CALLS
    for each in running:
        each.result()
    seen = figures.snapshot()
    streams = len(range(0, CALLS, 10))
    assert seen.in_flight_count == 0
    assert sum(seen.calls.values()) == THREADS * CALLS
    assert sum(count for (_, code), count in seen.calls.items() if code == "NOT_FOUND") == THREADS * len(
        range(0, CALLS, 7)
    )
    assert sum(sum(each.counts) for each in seen.durations_s.values()) == THREADS * (CALLS - streams)
    assert {name: sum(each.counts) for name, each in seen.steps_s.items()} == dict.fromkeys(
        ("wait", "answer"), THREADS * CALLS
    )
    assert {name: sum(each.counts) for name, each in seen.stages_s.items()} == dict.fromkeys(
        ("encode", "select"), THREADS * CALLS
    )
    assert seen.batch_sizes.total == 2 * THREADS * CALLS


def test_a_call_that_waits_to_be_counted_keeps_none_of_its_questions() -> None:
    figures = ServingFigures()
    queries = Asked()
    kept = weakref.ref(queries)
    copy_context().run(call, figures, 1, queries)
    del queries
    gc.collect()
    assert kept() is None
    assert sum(figures.snapshot().calls.values()) == 1
