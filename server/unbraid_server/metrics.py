"""What Prometheus reads: calls, and what is known of the release that answers."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from unbraid_server.active_model import ActiveModel
from unbraid_server.metrics_endpoint import MetricsEndpoint
from unbraid_server.recall_monitor import RecallMonitor

__all__ = ["Metrics"]

# Seconds; from a cached answer to a call that nobody waits for any more.
CALL_BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        active: which model answers.
        recall: what its index finds.
    """

    def __init__(self, active: ActiveModel, recall: RecallMonitor) -> None:
        self.registry = CollectorRegistry()
        self._endpoint: MetricsEndpoint | None = None
        self._calls = Counter(
            "unbraid_calls", "Calls by method and status.", ["method", "code"], registry=self.registry
        )
        self._durations_s = Histogram(
            "unbraid_call_duration_seconds",
            "From the arrival of a call at its handler to its answer.",
            ["method"],
            buckets=CALL_BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_ReleaseCollector(active, recall))

    def called(self, method: str, code: str, duration_s: float) -> None:
        """Count one call."""
        self._calls.labels(method, code).inc()
        self._durations_s.labels(method).observe(duration_s)

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
        summary = self._recall.summary(model)
        for name, text, value in (
            ("promised_recall", "Recall that was measured when the index was built.", summary.promised_recall),
            ("recall_samples", "Live questions that the next three gauges rest on.", summary.sample_count),
            ("merged_recall", "Mean merged recall of live questions.", summary.recall),
            ("merged_recall_p05", "Its 5th percentile over questions.", summary.recall_p05),
            ("fill_rate", "Recommended items over items asked for, in live questions.", summary.fill_rate),
            ("rebuild_due", "1 where the index should be built again.", float(bool(summary.rebuild_reason))),
        ):
            yield GaugeMetricFamily(f"unbraid_index_{name}", text, value=value)
