"""What happened between two states of a server process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from unbraid_client import ServingStatus, TimeSpent

__all__ = ["ServingRates", "rates_between"]

OWN_METHODS = "/unbraid.v1.StatusService/"


@dataclass(frozen=True, slots=True)
class ServingRates:
    """Rates and means of a stretch of time; None where nothing happened that they could be of.

    Attributes:
        seconds: how long the stretch is.
        calls_per_second: of all methods but the status, by status code.
        p50_ms, p95_ms, p99_ms: durations of calls that answer questions, by the buckets of the server.
        shed_per_second: calls that were not answered, by reason.
        batch_queries: mean questions of a batch.
        step_ms: mean duration of each step of a call.
        stage_ms: mean duration of each stage of a batch.
        cache_hit_share: of the histories, those whose interests were known.
    """

    seconds: float
    calls_per_second: Mapping[str, float]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    shed_per_second: Mapping[str, float]
    batch_queries: float | None
    step_ms: Mapping[str, float]
    stage_ms: Mapping[str, float]
    cache_hit_share: float | None


def rates_between(earlier: ServingStatus, later: ServingStatus, seconds: float) -> ServingRates:
    """The rates between two states of the same process."""
    before, now = _calls_by_code(earlier), _calls_by_code(later)
    durations_s = later.durations_s.since(earlier.durations_s)
    return ServingRates(
        seconds=seconds,
        calls_per_second={code: (count - before[code]) / seconds for code, count in now.items()},
        p50_ms=_milliseconds(durations_s.quantile(0.5)),
        p95_ms=_milliseconds(durations_s.quantile(0.95)),
        p99_ms=_milliseconds(durations_s.quantile(0.99)),
        shed_per_second={
            reason: (count - earlier.shed.get(reason, 0)) / seconds for reason, count in later.shed.items()
        },
        batch_queries=later.batch_sizes.since(earlier.batch_sizes).mean,
        step_ms=_mean_ms(earlier.steps, later.steps),
        stage_ms=_mean_ms(earlier.stages, later.stages),
        cache_hit_share=_hit_share(earlier, later),
    )


def _calls_by_code(status: ServingStatus) -> Counter[str]:
    counts: Counter[str] = Counter()
    for call in status.calls:
        if not call.method.startswith(OWN_METHODS):
            counts[call.code] += call.call_count
    return counts


def _mean_ms(earlier: Mapping[str, TimeSpent], later: Mapping[str, TimeSpent]) -> dict[str, float]:
    never = TimeSpent(0, 0.0)
    means: dict[str, float] = {}
    for name, now in later.items():
        before = earlier.get(name, never)
        if now.run_count > before.run_count:
            means[name] = 1e3 * (now.total_s - before.total_s) / (now.run_count - before.run_count)
    return means


def _hit_share(earlier: ServingStatus, later: ServingStatus) -> float | None:
    if earlier.cache is None or later.cache is None:
        return None
    hits = later.cache.hit_count - earlier.cache.hit_count
    asked = hits + later.cache.miss_count - earlier.cache.miss_count
    return hits / asked if asked else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
