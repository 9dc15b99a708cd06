"""The serving figures as a message."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from unbraid.v1 import status_pb2 as pb
from unbraid_core.interest_cache import CacheStatistics, InterestCache
from unbraid_server.distribution import Histogram, added_up
from unbraid_server.serving_figures import CALL_BOUNDS_S, ServingSnapshot

__all__ = ["serving_status"]

ANSWERING_METHODS = "/unbraid.v1.RecommendationService/"


def serving_status(figures: ServingSnapshot, waiting_query_count: int, cache: InterestCache | None) -> pb.ServingStatus:
    """What this process has done since it started, how many questions wait now, and what the cache holds."""
    answering = (each for method, each in figures.durations_s.items() if method.startswith(ANSWERING_METHODS))
    return pb.ServingStatus(
        process_id=os.getpid(),
        calls=[
            pb.CallCount(method=method, code=code, call_count=count) for (method, code), count in figures.calls.items()
        ],
        durations_s=_distribution(added_up(CALL_BOUNDS_S, answering)),
        steps=_times_spent(figures.steps_s),
        stages=_times_spent(figures.stages_s),
        batch_sizes=_distribution(figures.batch_sizes),
        degraded_answer_count=figures.degraded_count,
        shed=[pb.ShedCount(reason=reason, call_count=count) for reason, count in figures.shed.items()],
        waiting_query_count=waiting_query_count,
        call_in_flight_count=figures.in_flight_count,
        cache=None if cache is None else _cache_status(cache.statistics()),
    )


def _cache_status(statistics: CacheStatistics) -> pb.CacheStatus:
    return pb.CacheStatus(
        hit_count=statistics.hit_count,
        miss_count=statistics.miss_count,
        entry_count=statistics.entry_count,
        size_bytes=statistics.size_bytes,
        capacity_bytes=statistics.capacity_bytes,
    )


def _distribution(histogram: Histogram) -> pb.Distribution:
    return pb.Distribution(bounds=histogram.bounds, counts=histogram.counts, total=histogram.total)


def _times_spent(histograms: Mapping[str, Histogram]) -> Iterable[pb.TimeSpent]:
    return [
        pb.TimeSpent(name=name, run_count=sum(histogram.counts), total_s=histogram.total)
        for name, histogram in histograms.items()
    ]
