"""What a server process has done since it started, as it says in its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from unbraid.v1 import status_pb2 as pb

__all__ = ["CacheStatus", "CallCount", "Distribution", "ServingStatus", "TimeSpent", "serving_status"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values counted in buckets.

    Attributes:
        bounds: upper bounds of all buckets but the last, which has none.
        counts: values in each bucket, one more than bounds.
        total: sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Their mean, None without values."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The value that ``share`` of all values are not above, None without values.

        Within a bucket it is interpolated; beyond the last bound it is that bound.
        """
        wanted = share * self.count
        for (lower, upper), count in zip(pairwise((0.0, *self.bounds)), self.counts, strict=False):
            if count and wanted <= count:
                return lower + (upper - lower) * wanted / count
            wanted -= count
        return self.bounds[-1] if self.count else None

    def since(self, earlier: Distribution) -> Distribution:
        """The values that came after an earlier state."""
        counts = (now - before for now, before in zip(self.counts, earlier.counts, strict=True))
        return Distribution(self.bounds, tuple(counts), self.total - earlier.total)

    def with_those_of(self, other: Distribution) -> Distribution:
        """All values of two processes of one server, whose buckets are the same."""
        counts = (own + others for own, others in zip(self.counts, other.counts, strict=True))
        return Distribution(self.bounds, tuple(counts), self.total + other.total)


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one method, as gRPC names it, that ended with one status code."""

    method: str
    code: str
    call_count: int


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """How often a step of calls or a stage of batches ran, and all runs together in seconds."""

    run_count: int
    total_s: float


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The cache of interests: histories that it knew and did not know, how many it holds, and the memory they take."""

    hit_count: int
    miss_count: int
    entry_count: int
    size_bytes: int
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class ServingStatus:
    """What one process has done. Counts only grow, so two answers of one process say what happened between them.

    Attributes:
        process_id: another process counts from zero.
        calls: that ended, by method and status.
        durations_s: of the calls that answer questions.
        steps: of calls, by name.
        stages: of the pipeline, by name; once and whole for each batch, however many calls share it.
        batch_sizes: questions of each batch.
        degraded_answer_count: answers of less effort, because their questions had waited.
        shed: calls that were not answered, by reason.
        waiting_query_count: questions that wait now.
        call_in_flight_count: calls in progress now, this one among them.
        cache: of interests; None where there is none.
    """

    process_id: int
    calls: tuple[CallCount, ...]
    durations_s: Distribution
    steps: Mapping[str, TimeSpent]
    stages: Mapping[str, TimeSpent]
    batch_sizes: Distribution
    degraded_answer_count: int
    shed: Mapping[str, int]
    waiting_query_count: int
    call_in_flight_count: int
    cache: CacheStatus | None


def serving_status(status: pb.ServingStatus) -> ServingStatus:
    """The part of a GetStatus answer."""
    return ServingStatus(
        process_id=status.process_id,
        calls=tuple(CallCount(each.method, each.code, each.call_count) for each in status.calls),
        durations_s=_distribution(status.durations_s),
        steps={each.name: TimeSpent(each.run_count, each.total_s) for each in status.steps},
        stages={each.name: TimeSpent(each.run_count, each.total_s) for each in status.stages},
        batch_sizes=_distribution(status.batch_sizes),
        degraded_answer_count=status.degraded_answer_count,
        shed={each.reason: each.call_count for each in status.shed},
        waiting_query_count=status.waiting_query_count,
        call_in_flight_count=status.call_in_flight_count,
        cache=_cache(status.cache) if status.HasField("cache") else None,
    )


def _distribution(message: pb.Distribution) -> Distribution:
    return Distribution(tuple(message.bounds), tuple(message.counts), message.total)


def _cache(message: pb.CacheStatus) -> CacheStatus:
    return CacheStatus(
        message.hit_count, message.miss_count, message.entry_count, message.size_bytes, message.capacity_bytes
    )
