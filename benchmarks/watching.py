"""Measures what it costs a server to watch its calls: to count and time them, their steps, and the stages of batches.

    python -m benchmarks.watching --releases DIR [--items 100000] [--seconds 2] [--rounds 5]

The release is one of ``benchmarks.serving --releases``; it is made where there is none. In every round a server is
asked, and a loop does what a server does between gRPC and gRPC, one batch watched and the next one not. What watched
batches cost more, in CPU time, is compared with what the server takes for a question. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.compute_loop import parsed_query
from benchmarks.core_shares import core_shares, running_on
from benchmarks.cpu_time import cpu_s
from benchmarks.ordered_process import OrderedProcess
from benchmarks.server_process import server_process
from benchmarks.serving import USERS, publish
from benchmarks.serving_requests import recommend_requests
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.release import ReleaseStore
from unbraid_core.types import Query, Ranking
from unbraid_server.allocator import keep_memory_together
from unbraid_server.batch_record import BatchRecord, Turn
from unbraid_server.call_record import CallRecord, enter_step
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.recommender import Answer
from unbraid_server.responses import recommend_responses
from unbraid_server.serving_figures import ServingFigures
from unbraid_server.slow_calls import SlowCalls

METHOD = "/unbraid.v1.RecommendationService/Recommend"
SLOW_S = 0.25


class Traffic(NamedTuple):
    """How a server is asked.

    Attributes:
        name: of the row.
        form: of the requests, as ``benchmarks.closed_loop`` names it.
        callers: who ask at once.
        calls: of a batch.
        questions: of a call.
    """

    name: str
    form: str
    callers: int
    calls: int
    questions: int


TRAFFIC = (
    Traffic("1 caller, alone in its batch", "recommend", 1, 1, 1),
    Traffic("32 callers, in batches of 16", "recommend", 32, 16, 1),
    Traffic("BatchRecommend of 32, 2 callers", "batch", 2, 1, 32),
)


class Loop:
    """Answers requests as a server does, but for gRPC and its threads, with and without being watched.

    Args:
        model: who answers.
        requests: that come, again and again.
    """

    def __init__(self, model: Model, requests: Sequence[pb.RecommendRequest]) -> None:
        self._model = model
        self._sent = cycle([request.SerializeToString() for request in requests])
        self._figures = ServingFigures()
        self._slow_calls = SlowCalls(open_log("info"), SLOW_S)

    def cost_s(self, traffic: Traffic, *, watched: bool) -> float:
        """CPU seconds of a batch."""
        sent = [list(islice(self._sent, traffic.questions)) for _ in range(traffic.calls)]
        began_s = time.process_time()
        if watched:
            self._answer_watched(sent)
        else:
            self._answer(sent)
        return time.process_time() - began_s

    def _answer(self, sent: Sequence[Sequence[bytes]]) -> None:
        queries = [self._query(message) for messages in sent for message in messages]
        self._respond(queries, self._model.pipeline.recommend(queries))

    def _answer_watched(self, sent: Sequence[Sequence[bytes]]) -> None:
        queries: list[Query] = []
        calls: list[CallRecord] = []
        for messages in sent:
            self._figures.began()
            calls.append(CallRecord.begin(METHOD, self._model.release_id, ()))
            enter_step("parse")
            enter_step("state")
            enter_step("history")
            queries += [self._query(message) for message in messages]
        asked_s = time.perf_counter()
        batch = BatchRecord(len(queries))
        rankings = self._model.pipeline.recommend(queries, batch.marks.enter)
        batch.marks.enter("respond")
        self._respond(queries, rankings)
        batch.end()
        self._figures.answered(batch)
        for call in calls:
            call.take(Turn(queries, asked_s, rankings, batch))
            call.end("OK")
            self._figures.ended(call)
            self._slow_calls.ended(call)

    def _query(self, message: bytes) -> Query:
        return parsed_query(self._model, pb.RecommendRequest.FromString(message))

    def _respond(self, queries: Sequence[Query], rankings: Sequence[Ranking]) -> None:
        recommend_responses(
            [Answer(self._model, query, ranking, 0) for query, ranking in zip(queries, rankings, strict=True)]
        )


def watching_us(loop: Loop, traffic: Traffic, seconds: float) -> float:
    """CPU microseconds a question by which watched batches cost more than those beside them, measured for so long."""
    more_s = []
    watched_first = True
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        cost_s = {watched: loop.cost_s(traffic, watched=watched) for watched in (watched_first, not watched_first)}
        more_s.append(cost_s[True] - cost_s[False])
        watched_first = not watched_first
    return 1e6 * trimmed_mean(more_s) / (traffic.calls * traffic.questions)


def trimmed_mean(values: Sequence[float]) -> float:
    """Without a tenth at each end: what interrupts a batch is counted to it, and hits some hard."""
    ordered = sorted(values)
    left_out = len(ordered) // 10
    kept = ordered[left_out : len(ordered) - left_out]
    return sum(kept) / len(kept)


def asking(stack: ExitStack, releases: Path, item_count: int, seconds: float) -> Callable[[Traffic], float]:
    """Starts a server, and returns what asks it for so long and says what a question took it, in CPU microseconds."""
    target, process_id = stack.enter_context(server_process(releases, pin_workers="true"))
    with running_on(core_shares(os.sched_getaffinity(0)).load):
        load = stack.enter_context(OrderedProcess("benchmarks.closed_loop", str(item_count), str(USERS)))

    def ask(traffic: Traffic) -> float:
        before_s = cpu_s(process_id)
        seen = load.ask(form=traffic.form, target=target, callers=traffic.callers, seconds=seconds)
        return float(1e6 * (cpu_s(process_id) - before_s) / seen["calls"])

    return ask


def main() -> int:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--releases", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, of the server and of the loop")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    publish(options.releases, options.items)
    keep_memory_together()
    model = load_model(ReleaseStore(options.releases).open(), Device.CPU)
    loop = Loop(model, recommend_requests(options.items, USERS))
    # As in a server.
    gc.collect()
    gc.freeze()
    costs: dict[Traffic, list[tuple[float, float]]] = {traffic: [] for traffic in TRAFFIC}
    with ExitStack() as stack:
        ask = asking(stack, options.releases, options.items, options.seconds)
        for number in track(range(options.rounds + 1), "rounds"):
            for traffic in TRAFFIC:
                cost = ask(traffic), watching_us(loop, traffic, options.seconds)
                if number:  # the first round warms everything up
                    costs[traffic].append(cost)
    table = Table("asked by", "CPU us a question", "of that watching", "share, and of each round")
    for traffic, of_rounds in costs.items():
        served_us, watching = (median(column) for column in zip(*of_rounds, strict=True))
        shares = ", ".join(f"{more / served:.1%}" for served, more in of_rounds)
        table.add_row(traffic.name, f"{served_us:,.0f}", f"{watching:.1f}", f"{watching / served_us:.1%} ({shares})")
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
