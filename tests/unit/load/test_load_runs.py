"""Load tests against a server that answers as it is told, from processes of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_load import (
    CallKind,
    ClosedLoop,
    LoadFailed,
    LoadPlan,
    LoadReport,
    OpenLoop,
    Progress,
    Question,
    Step,
    prepare,
    run_load,
)

if TYPE_CHECKING:
    from tests.unit.load.conftest import Serve

ANSWER = pb.RecommendResponse(release_id="r", recommendations=[pb.Recommendation(item_id="a")])
REQUESTS = prepare(CallKind.RECOMMEND, Question(), [f"user-{number}" for number in range(40)], batch_size=1)
STALL_S = 0.6


def load(target: str, loop: OpenLoop | ClosedLoop, **settings: Any) -> LoadReport:
    settings = {"warm_up_s": 0.0, "check_share": 1.0, "interval_s": 0.1} | settings
    return run_load(LoadPlan(target, CallKind.RECOMMEND, REQUESTS, loop, **settings))


def answer(_: pb.RecommendRequest, __: grpc.ServicerContext) -> pb.RecommendResponse:
    return ANSWER


def stalling_once() -> Callable[[pb.RecommendRequest, grpc.ServicerContext], pb.RecommendResponse]:
    """Answers nobody for a while, from the 20th call on."""
    numbers, stalled = count(), threading.Lock()

    def stall(_: pb.RecommendRequest, __: grpc.ServicerContext) -> pb.RecommendResponse:
        with stalled:
            if next(numbers) == 20:
                time.sleep(STALL_S)
            return ANSWER

    return stall


def test_an_open_loop_counts_what_waits_behind_a_stall_and_a_closed_loop_does_not(serve: Serve) -> None:
    """Of 100 calls a second, about 60 are due while nobody is answered; a lone caller meets the stall once."""
    opened = load(serve(stalling_once()), OpenLoop([Step(100, 1.5)])).total
    closed = load(serve(stalling_once()), ClosedLoop(1, 1.5)).total
    assert opened.outcomes["OK"].latency_ms.p90 > 0.4 * STALL_S * 1e3
    assert closed.outcomes["OK"].latency_ms.p90 < 0.1 * STALL_S * 1e3
    assert closed.outcomes["OK"].latency_ms.longest > 0.9 * STALL_S * 1e3
    assert opened.call_count == pytest.approx(150, rel=0.35)


def test_several_processes_and_connections_make_the_calls_of_every_step_together(serve: Serve) -> None:
    peers: set[str] = set()

    def note(_: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:
        peers.add(context.peer())
        return ANSWER

    steps = [Step(60, 1.0), Step(240, 1.0)]
    report = load(serve(note), OpenLoop(steps), processes=2, connections=3)
    assert len(peers) == 6
    assert [step.call_count for step in report.steps] == pytest.approx([60, 240], rel=0.5)
    assert sum(step.call_count for step in report.steps) == report.total.call_count == report.checked_count
    assert sum(sum(row.counts.values()) for row in report.timeline) <= report.total.call_count
    assert report.problems == []
    assert report.cpu_us_per_call > 0


def test_refusals_are_counted_by_their_code_and_nothing_is_sent_again(serve: Serve) -> None:
    numbers = count()

    def refuse_most(_: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:
        number = next(numbers)
        if number % 4:
            code = grpc.StatusCode.UNAVAILABLE if number % 4 == 1 else grpc.StatusCode.RESOURCE_EXHAUSTED
            context.abort(code, "scripted")
        return ANSWER

    total = load(serve(refuse_most), ClosedLoop(1, 30.0), count=80).total
    assert {code: outcome.count for code, outcome in total.outcomes.items()} == {
        "RESOURCE_EXHAUSTED": 40,
        "OK": 20,
        "UNAVAILABLE": 20,
    }
    assert next(numbers) == 80


def test_calls_of_the_warm_up_are_made_and_not_counted(serve: Serve) -> None:
    numbers = count()

    def slow_at_first(_: pb.RecommendRequest, __: grpc.ServicerContext) -> pb.RecommendResponse:
        time.sleep(0.3 if next(numbers) == 0 else 0.0)
        return ANSWER

    total = load(serve(slow_at_first), ClosedLoop(1, 0.5), warm_up_s=0.5).total
    assert next(numbers) > total.call_count > 0
    assert total.outcomes["OK"].latency_ms.longest < 300


def test_a_deadline_ends_a_call(serve: Serve) -> None:
    released = threading.Event()

    def hold(_: pb.RecommendRequest, __: grpc.ServicerContext) -> pb.RecommendResponse:
        released.wait(20.0)
        return ANSWER

    total = load(serve(hold), ClosedLoop(2, 0.3), timeout_s=0.1).total
    released.set()
    assert set(total.outcomes) == {"DEADLINE_EXCEEDED"}
    assert total.goodput_rps == 0.0


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (pb.RecommendResponse(), "names no release"),
        (
            pb.RecommendResponse(release_id="r", recommendations=[pb.Recommendation(item_id="a")] * 2),
            "recommends an item twice",
        ),
    ],
)
def test_wrong_answers_are_noticed(serve: Serve, wrong: pb.RecommendResponse, problem: str) -> None:
    report = load(serve(lambda _, __: wrong), ClosedLoop(1, 30.0), count=5)
    assert len(report.problems) == report.checked_count == 5
    assert problem in report.problems[0]


def test_a_load_test_that_is_interrupted_reports_what_it_measured(serve: Serve) -> None:
    told: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            raise KeyboardInterrupt

    plan = LoadPlan(serve(answer), CallKind.RECOMMEND, REQUESTS, OpenLoop([Step(200, 60)]), 0.0, interval_s=0.1)
    report = run_load(plan, interrupt)
    assert report.is_stopped
    assert 0 < report.total.seconds < 30
    assert report.total.call_count >= sum(told[-1].total.counts.values()) > 0


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(LoadFailed, match="could not connect"):
        load("127.0.0.1:1", ClosedLoop(1, 1.0))
