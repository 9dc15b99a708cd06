"""Measures what each part of a request costs by itself, in a tight loop without a server.

    python -m benchmarks.request_parts --releases DIR

The release is one of ``benchmarks.serving --releases``. Prints the CPU time of a request, the least of some rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.compute_loop import parsed_query
from benchmarks.serving_requests import recommend_requests
from rich.console import Console
from rich.table import Table

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import weigh_all
from unbraid_core.interest_cache import InterestCache
from unbraid_core.release import ReleaseStore
from unbraid_core.types import Query
from unbraid_server.allocator import keep_memory_together
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model
from unbraid_server.recommendation_wire import written_recommendations
from unbraid_server.recommender import Answer
from unbraid_server.requests import EventColumns, parse_recommend
from unbraid_server.responses import RECOMMENDATIONS, recommend_responses

REQUESTS, BATCH, ROUNDS = 256, 32, 9
ENOUGH_BYTES = 10**8


def parts(model: Model, requests: list[pb.RecommendRequest]) -> Iterable[tuple[str, Callable[[], object]]]:
    """Each part by name, and what does it for all requests."""
    sent = [request.SerializeToString() for request in requests]
    questions = [parse_recommend(request) for request in requests]
    columns = [question.subject for question in questions if isinstance(question.subject, EventColumns)]
    queries = [parsed_query(model, request) for request in requests]
    answers = [
        Answer(model, query, ranking, 0)
        for query, ranking in zip(queries, model.pipeline.recommend(queries), strict=True)
    ]
    known = [(answer.ranking.interests, answer.query.now_s) for answer in answers if answer.ranking.interests]
    batches = [answers[start : start + BATCH] for start in range(0, REQUESTS, BATCH)]
    half_life_s_K = model.pipeline.half_life_s_K
    yield "pipeline, 1 at once", partial(in_batches, model.pipeline.recommend, queries, 1)
    yield f"pipeline, {BATCH} at once", partial(in_batches, model.pipeline.recommend, queries, BATCH)
    cached = replace(model.pipeline, cache=InterestCache(ENOUGH_BYTES))
    yield "in it: interests", partial(in_batches, model.pipeline.interests, queries, BATCH)
    yield "in it: interests that the cache knows", partial(in_batches, cached.interests, queries, BATCH)
    yield "message of bytes", lambda: [pb.RecommendRequest.FromString(message) for message in sent]
    yield "question of a message", lambda: [parse_recommend(request) for request in requests]
    yield "history of the events", lambda: [model.history(c.item_ids, c.times_s, c.actions, None) for c in columns]
    yield "response, 1 at once", lambda: [recommend_responses([answer]) for answer in answers]
    yield f"response, {BATCH} at once", lambda: [recommend_responses(batch) for batch in batches]
    yield (
        "in it: recommendations",
        lambda: [written_recommendations(RECOMMENDATIONS, model.shown, [each.ranking for each in b]) for b in batches],
    )
    yield (
        "in it: weighing the evidence",
        lambda: [weigh_all(known[start : start + BATCH], half_life_s_K, 3) for start in range(0, REQUESTS, BATCH)],
    )


def in_batches(ask: Callable[[Sequence[Query]], object], queries: Sequence[Query], batch: int) -> None:
    """Ask about all of them, so many at once."""
    for start in range(0, len(queries), batch):
        ask(queries[start : start + batch])


def least_us(work: Callable[[], object]) -> float:
    """CPU time of a request, warm."""
    times_s = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        work()
        times_s.append(time.process_time() - began_s)
    return 1e6 * min(times_s) / REQUESTS


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--releases", type=Path, required=True)
    options = parser.parse_args()
    keep_memory_together()
    model = load_model(ReleaseStore(options.releases).open(), Device.CPU)
    table = Table("part", "CPU us a request")
    for name, work in parts(model, recommend_requests(len(model.catalogue), REQUESTS)):
        table.add_row(name, f"{least_us(work):.0f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
