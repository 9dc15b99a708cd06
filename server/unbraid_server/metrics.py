"""What Prometheus reads: calls, batches, and what is known of the release that answers.

Every family is made when it is asked for, from figures that are kept elsewhere. Counters and histograms of several
workers add up; so do the gauges of the queue, of calls in flight, of threads and of the cache. All other gauges say the
same in every worker that follows the same folder of releases, but for the recall, which each samples for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from unbraid_core.interest_cache import CacheStatistics
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher
from unbraid_server.distribution import Histogram
from unbraid_server.metrics_endpoint import MetricsEndpoint
from unbraid_server.recall_monitor import RecallMonitor
from unbraid_server.serving_figures import ServingFigures

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        active: which model answers.
        recall: what its index finds.
        figures: of the calls and batches.
        batcher: knows how many questions wait.
    """

    def __init__(self, active: ActiveModel, recall: RecallMonitor, figures: ServingFigures, batcher: Batcher) -> None:
        self.registry = CollectorRegistry()
        self._endpoint: MetricsEndpoint | None = None
        self.registry.register(_ServingCollector(figures, batcher))
        self.registry.register(_ReleaseCollector(active, recall))
        ProcessCollector(registry=self.registry)

    def listen(self, host: str, port: int) -> int:
        """Answer scrapes over HTTP in a thread of its own until ``close``, and return the port.

        Raises:
            Unavailable: the address cannot be had.
        """
        self._endpoint = MetricsEndpoint(self.registry, host, port)
        return self._endpoint.port

    def close(self) -> None:
        """Answer no more scrapes."""
        if self._endpoint is not None:
            self._endpoint.close()


class _ServingCollector(Collector):
    """Reads the figures when it is asked."""

    def __init__(self, figures: ServingFigures, batcher: Batcher) -> None:
        self._figures = figures
        self._batcher = batcher

    def collect(self) -> Iterator[Metric]:
        """Calls, their steps, batches, their stages, and the queue."""
        figures = self._figures.snapshot()
        calls = CounterMetricFamily("unbraid_calls", "Calls by method and status.", labels=["method", "code"])
        for labels, count in figures.calls.items():
            calls.add_metric(labels, count)
        yield calls
        yield _histograms(
            "unbraid_call_duration_seconds",
            "From the arrival of a call at its handler to its answer.",
            "method",
            figures.durations_s,
        )
        yield _histograms("unbraid_call_step_seconds", "Steps of calls, each run of them.", "step", figures.steps_s)
        yield _histograms(
            "unbraid_stage_seconds", "Stages of the pipeline, once a batch and whole.", "stage", figures.stages_s
        )
        sizes = HistogramMetricFamily("unbraid_batch_queries", "Questions that were answered together.")
        sizes.add_metric([], _cumulative(figures.batch_sizes), figures.batch_sizes.total)
        yield sizes
        yield CounterMetricFamily(
            "unbraid_degraded_answers",
            "Answers of reduced effort, to questions that had waited.",
            figures.degraded_count,
        )
        shed = CounterMetricFamily("unbraid_shed_calls", "Calls that were not answered.", labels=["reason"])
        for reason, count in figures.shed.items():
            shed.add_metric([reason], count)
        yield shed
        yield GaugeMetricFamily("unbraid_waiting_queries", "Questions that wait now.", self._batcher.waiting_count)
        yield GaugeMetricFamily("unbraid_calls_in_flight", "Calls in progress now.", figures.in_flight_count)
        yield GaugeMetricFamily("unbraid_threads", "Threads of Python code.", threading.active_count())


class _ReleaseCollector(Collector):
    """Reads the current release when it is asked, so that a swap shows at once."""

    def __init__(self, active: ActiveModel, recall: RecallMonitor) -> None:
        self._active = active
        self._recall = recall

    def collect(self) -> Iterator[Metric]:
        """The release, its catalogue, and what its index finds of live questions."""
        model = self._active.current()
        release = GaugeMetricFamily("unbraid_release", "1 for the release that answers.", labels=["release_id"])
        release.add_metric([model.release_id], 1.0)
        yield release
        yield GaugeMetricFamily("unbraid_items", "Items of the catalogue.", value=len(model.catalogue))
        delta = model.delta
        yield GaugeMetricFamily(
            "unbraid_catalogue_changed_items",
            "Items that are new or changed since the release.",
            value=len(delta.row_of),
        )
        yield GaugeMetricFamily(
            "unbraid_catalogue_replaced_items",
            "Items of the release that are deleted or changed.",
            delta.replaced_count,
        )
        if model.pipeline.cache is not None:
            yield from _cache_families(model.pipeline.cache.statistics())
        summary = self._recall.summary(model)
        for name, text, value in (
            ("promised_recall", "Recall that was measured when the index was built.", summary.promised_recall),
            ("recall_samples", "Live questions that the next three gauges rest on.", summary.sample_count),
            ("merged_recall", "Mean merged recall of live questions.", summary.recall),
            ("merged_recall_p05", "Its 5th percentile over questions.", summary.recall_p05),
            ("fill_rate", "Recommended items over items asked for, in live questions.", summary.fill_rate),
            ("rebuild_due", "1 where the index should be built again.", float(bool(summary.rebuild_reason))),
            ("list_imbalance", "Longest list over the mean one; 1 without lists.", model.list_imbalance),
        ):
            yield GaugeMetricFamily(f"unbraid_index_{name}", text, value=value)


def _cache_families(statistics: CacheStatistics) -> Iterator[Metric]:
    for name, text, count in (
        ("hits", "Histories whose interests were known.", statistics.hit_count),
        ("misses", "Histories that had to be encoded.", statistics.miss_count),
    ):
        yield CounterMetricFamily(f"unbraid_interest_cache_{name}", text, count)
    for name, text, value in (
        ("entries", "Histories whose interests are kept.", statistics.entry_count),
        ("bytes", "Memory that they take.", statistics.size_bytes),
        ("capacity_bytes", "Memory that they may take.", statistics.capacity_bytes),
    ):
        yield GaugeMetricFamily(f"unbraid_interest_cache_{name}", text, value)


def _histograms(name: str, text: str, label: str, of_value: Mapping[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, histogram in of_value.items():
        family.add_metric([value], _cumulative(histogram), histogram.total)
    return family


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: each counts all that is not above its bound."""
    bounds = (*map(floatToGoString, histogram.bounds), "+Inf")
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
