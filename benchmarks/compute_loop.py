"""What answers cost without a server: the pipeline of a release in a tight loop, histories parsed beforehand.

    python -m benchmarks.compute_loop RELEASES ITEMS USERS

It takes orders: batch, how many queries at once; seconds, how long.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.ordered_process import answer_orders
from benchmarks.serving_requests import NOW_S, recommend_requests

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.release import ReleaseStore
from unbraid_core.types import Query
from unbraid_server.allocator import keep_memory_together
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model
from unbraid_server.requests import EventColumns, parse_recommend

__all__ = ["parsed_query"]


def parsed_query(model: Model, request: pb.RecommendRequest) -> Query:
    """The query of a request with a history and no other wishes than a limit."""
    question = parse_recommend(request)
    assert isinstance(question.subject, EventColumns)
    events = question.subject
    history = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s).history
    return Query(history=history, now_s=NOW_S, limit=question.limit, profile=model.profiles[0])


def main() -> int:
    """Load the active release and answer orders."""
    releases, item_count, user_count = sys.argv[1:]
    keep_memory_together()
    model = load_model(ReleaseStore(Path(releases)).open(), Device.CPU)
    queries = [parsed_query(model, request) for request in recommend_requests(int(item_count), int(user_count))]
    # As in a server.
    gc.collect()
    gc.freeze()
    position = 0

    def loop(batch: int, seconds: float) -> dict[str, Any]:
        nonlocal position
        began_s, began_cpu_s, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began_s < seconds:
            model.pipeline.recommend(queries[position : position + batch])
            position = (position + batch) % (len(queries) - batch + 1)
            count += batch
        return {"calls": count, "cpu_s": time.process_time() - began_cpu_s, "wall_s": time.perf_counter() - began_s}

    answer_orders(loop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
