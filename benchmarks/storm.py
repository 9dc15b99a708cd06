"""Calls a server while many of the callers leave, or give it next to no time, and looks whether anybody else suffers.

    python -m benchmarks.storm [--calls 20000] [--in-flight 48] [--items 20000] [--releases FOLDER]

Of the calls a third each is plain, is cancelled within 30 ms, and has a deadline within 30 ms, and they share batches.
Every plain call has to be answered as it was before the storm, item for item as far as rounding goes, and so does every
other call that is answered in time. Afterwards as many calls at once as the queue of the server has places are all
answered, so no place is lost; and the server has no more threads than calls that it admits, and no more open files than
before. Nor is there a second of the storm in which no call ends. Exits with 1 where one of this does not hold. It takes
one to three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import grpc.aio
import numpy as np
from benchmarks.memory import prepared
from benchmarks.process_watch import Sample
from benchmarks.server_process import server_process
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_client import UnbraidClient
from unbraid_load import Question, draw_histories, read_item_ids

QUESTIONS, HISTORY, LONGEST = 200, 20, 50
QUEUE_PLACES = 128
# The threads of calls are all there from the start; gRPC adds some of its own, and files.
MORE_THREADS, MORE_FILES = 16, 4
PATIENCE_S, HASTE_S, STALL_S = 60.0, 0.03, 1.0
ROUNDING, AT_THE_BORDER = 1e-4, 2
KINDS = ("plain", "cancelled", "in a hurry")
# What may have become of a call that was not plain, other than an answer.
MAY_END_IN = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # there is too little time left for what waits already
}


@dataclass(slots=True)
class Outcome:
    """What became of the calls of a storm.

    Attributes:
        ends: calls by kind and status.
        wrong: plain calls without an answer, unexpected statuses, and answers that are not those of before.
        longest_gap_s: between two ends of calls.
    """

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_gap_s: float = 0.0
    last_end_s: float = field(default_factory=time.monotonic)

    def end(self, kind: str, status: str) -> None:
        """Count the end of a call."""
        now_s = time.monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now_s - self.last_end_s)
        self.last_end_s = now_s
        self.ends[kind, status] += 1


class Storm:
    """Questions for a server, and the answers that it gave to each alone."""

    def __init__(self, channel: grpc.aio.Channel, questions: Sequence[pb.RecommendRequest]) -> None:
        self._stub = RecommendationServiceStub(channel)
        self._questions = questions
        self._expected: list[pb.RecommendResponse] = []

    async def learn(self) -> None:
        """Ask every question by itself."""
        for question in self._questions:
            self._expected.append(await self._stub.Recommend(question, timeout=PATIENCE_S))

    async def rush(self, count: int, kinds: Sequence[str], in_flight: int, rng: np.random.Generator) -> Outcome:
        """Make calls of these kinds, so many at a time."""
        outcome = Outcome()
        numbers = iter(range(count))

        async def keep_calling() -> None:
            for _ in numbers:
                await self._call(kinds[int(rng.integers(len(kinds)))], rng, outcome)

        async with asyncio.TaskGroup() as callers:
            for _ in range(in_flight):
                callers.create_task(keep_calling())
        return outcome

    async def _call(self, kind: str, rng: np.random.Generator, outcome: Outcome) -> None:
        number = int(rng.integers(len(self._questions)))
        haste_s = rng.uniform(0.0, HASTE_S)
        call = self._stub.Recommend(self._questions[number], timeout=haste_s if kind == "in a hurry" else PATIENCE_S)
        if kind == "cancelled":
            asyncio.get_running_loop().call_later(haste_s, call.cancel)
        code = await call.code()
        outcome.end(kind, code.name)
        if code is grpc.StatusCode.OK:
            if not _agree(await call, self._expected[number]):
                outcome.wrong.append(f"{kind}: not the answer of before")
        elif kind == "plain" or code not in MAY_END_IN:
            outcome.wrong.append(f"{kind}: {code.name}: {await call.details()}")


def _agree(first: pb.RecommendResponse, second: pb.RecommendResponse) -> bool:
    """Whether two answers are alike, but for rounding, which is another in batches of another size.

    It moves scores a little, and puts a candidate at the border of those that the index finds in or out.
    """
    one, other = ({each.item_id: each.score for each in answer.recommendations} for answer in (first, second))
    common = one.keys() & other.keys()
    differences = (abs(one[item_id] - other[item_id]) for item_id in common)
    return len(one) == len(other) <= len(common) + AT_THE_BORDER and max(differences, default=0.0) < ROUNDING


def questions_of(target: str, item_count: int) -> list[pb.RecommendRequest]:
    """Questions whose answers do not depend on the clock."""
    with UnbraidClient(target, timeout_s=PATIENCE_S) as client:
        item_ids = read_item_ids(client, item_count)
    now_s = time.time()
    questions = [
        Question().about(each) for each in draw_histories(item_ids, QUESTIONS, HISTORY, LONGEST, now_s, seed=0)
    ]
    for question in questions:
        question.as_of_time.CopyFrom(Timestamp(seconds=int(now_s) + 1))
    return questions


async def weather(target: str, process_id: int, options: argparse.Namespace) -> tuple[Outcome, Outcome, list[Sample]]:
    """A calm rush, a storm, and a calm rush into every place of the queue; the server after the first and the last."""
    rng = np.random.default_rng(options.seed)
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
        storm = Storm(channel, questions_of(target, options.items))
        await storm.learn()
        await storm.rush(4 * QUEUE_PLACES, ["plain"], QUEUE_PLACES, rng)
        before = Sample.of(process_id)
        outcome = await storm.rush(options.calls, KINDS, options.in_flight, rng)
        after = await storm.rush(4 * QUEUE_PLACES, ["plain"], QUEUE_PLACES, rng)
    return outcome, after, [before, Sample.of(process_id)]


def main() -> int:
    """Run the storm, print the table; exit with 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=48)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--releases", type=Path, help="a folder of releases; made up where it is not given")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = prepared(options.releases or Path(folder) / "releases", options.items)
        with server_process(store.root, "--queue-limit", str(QUEUE_PLACES)) as (target, process_id):
            outcome, after, samples = asyncio.run(weather(target, process_id, options))
    statuses = sorted({status for _, status in outcome.ends})
    table = Table("calls", *statuses)
    for kind in KINDS:
        table.add_row(kind, *(f"{outcome.ends[kind, status]:,}" for status in statuses))
    console = Console(width=110)
    console.print(table)
    before, later = samples
    console.print(f"longest time without the end of a call: {outcome.longest_gap_s:.2f} s")
    console.print(f"threads {before.threads} before, {later.threads} after; files {before.files}, {later.files}")
    console.print(f"afterwards, {QUEUE_PLACES} at once: {after.ends.total():,} calls, {len(after.wrong)} not answered")
    wrong = [*outcome.wrong, *after.wrong]
    for line, count in Counter(wrong).most_common(5):
        console.print(f"{count} times {line}", style="red", markup=False)
    leaks = later.threads > before.threads + MORE_THREADS or later.files > before.files + MORE_FILES
    is_met = not wrong and not leaks and outcome.longest_gap_s < STALL_S
    console.print("met" if is_met else "not met")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
