"""What server processes did between two looks at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from unbraid_client import Distribution, ServingStatus, TimeSpent

__all__ = ["ServingRates", "Stretch", "rates_of"]

OWN_METHODS = "/unbraid.v1.StatusService/"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Two states of the same process, and the seconds between them."""

    earlier: ServingStatus
    later: ServingStatus
    seconds: float


@dataclass(frozen=True, slots=True)
class ServingRates:
    """Rates and means of a stretch of time; None where nothing happened that they could be of.

    Attributes:
        seconds: how long the stretch is; of several processes, the longest.
        calls_per_second: of all methods but the status, by status code.
        p50_ms, p95_ms, p99_ms: durations of calls that answer questions, by the buckets of the server.
        shed_per_second: calls that were not answered, by reason.
        degraded_per_second: answers of less effort.
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
    degraded_per_second: float
    batch_queries: float | None
    step_ms: Mapping[str, float]
    stage_ms: Mapping[str, float]
    cache_hit_share: float | None


def rates_of(stretches: Sequence[Stretch]) -> ServingRates:
    """The rates of one process or of several together.

    Args:
        stretches: of each process one; at least one.
    """
    durations_s = _new_values(stretches, lambda status: status.durations_s)
    return ServingRates(
        seconds=max(stretch.seconds for stretch in stretches),
        calls_per_second=_per_second(stretches, _calls_by_code),
        p50_ms=_milliseconds(durations_s.quantile(0.5)),
        p95_ms=_milliseconds(durations_s.quantile(0.95)),
        p99_ms=_milliseconds(durations_s.quantile(0.99)),
        shed_per_second=_per_second(stretches, lambda status: status.shed),
        degraded_per_second=sum(_per_second(stretches, _degraded).values()),
        batch_queries=_new_values(stretches, lambda status: status.batch_sizes).mean,
        step_ms=_mean_ms(stretches, lambda status: status.steps),
        stage_ms=_mean_ms(stretches, lambda status: status.stages),
        cache_hit_share=_hit_share(stretches),
    )


def _calls_by_code(status: ServingStatus) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for call in status.calls:
        if not call.method.startswith(OWN_METHODS):
            counts[call.code] += call.call_count
    return counts


def _degraded(status: ServingStatus) -> Mapping[str, int]:
    return {"degraded": status.degraded_answer_count}


def _per_second(
    stretches: Iterable[Stretch], counts_of: Callable[[ServingStatus], Mapping[str, int]]
) -> dict[str, float]:
    rates: dict[str, float] = {}
    for stretch in stretches:
        before = counts_of(stretch.earlier)
        for name, count in counts_of(stretch.later).items():
            rates[name] = rates.get(name, 0.0) + (count - before.get(name, 0)) / stretch.seconds
    return rates


def _new_values(stretches: Iterable[Stretch], distribution_of: Callable[[ServingStatus], Distribution]) -> Distribution:
    first, *others = (distribution_of(each.later).since(distribution_of(each.earlier)) for each in stretches)
    for other in others:
        first = first.with_those_of(other)
    return first


def _mean_ms(
    stretches: Iterable[Stretch], times_of: Callable[[ServingStatus], Mapping[str, TimeSpent]]
) -> dict[str, float]:
    never = TimeSpent(0, 0.0)
    spent: dict[str, TimeSpent] = {}
    for stretch in stretches:
        before = times_of(stretch.earlier)
        for name, now in times_of(stretch.later).items():
            earlier, others = before.get(name, never), spent.get(name, never)
            spent[name] = TimeSpent(
                others.run_count + now.run_count - earlier.run_count, others.total_s + now.total_s - earlier.total_s
            )
    return {name: 1e3 * each.total_s / each.run_count for name, each in spent.items() if each.run_count}


def _hit_share(stretches: Iterable[Stretch]) -> float | None:
    hits = asked = 0
    for stretch in stretches:
        earlier, later = stretch.earlier.cache, stretch.later.cache
        if earlier is not None and later is not None:
            hits += later.hit_count - earlier.hit_count
            asked += later.hit_count + later.miss_count - earlier.hit_count - earlier.miss_count
    return hits / asked if asked else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
