"""The metrics of all workers in one place: behind one port, a scrape would read those of a worker drawn by lot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

__all__ = ["WORKER_METRICS_HOST", "WorkerMetrics"]

WORKER_METRICS_HOST = "127.0.0.1"
READ_TIMEOUT_S = 2.0


class WorkerMetrics(Collector):
    """Reads every worker when it is asked, and adds the label ``worker``. Nothing is added up: that is for queries.

    A worker that is started again counts from 0 again, as Prometheus expects of counters.

    Args:
        ports: by the number of each worker that accepts calls, on which port its metrics are.
        ended_count: how many workers have ended so far.
    """

    def __init__(self, ports: Callable[[], Mapping[int, int]], ended_count: Callable[[], int]) -> None:
        self._ports, self._ended_count = ports, ended_count

    def collect(self) -> Iterator[Metric]:
        """How the workers are, and what they say."""
        ports = self._ports()
        yield GaugeMetricFamily("unbraid_workers", "Workers that accept calls.", len(ports))
        yield CounterMetricFamily("unbraid_worker_ends", "Workers that ended and were replaced.", self._ended_count())
        families: dict[str, Metric] = {}
        for number, port in ports.items():
            for family in text_string_to_metric_families(_read(port)):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
        yield from families.values()


def _read(port: int) -> str:
    """The metrics of a worker as text; nothing of one that has just ended."""
    connection = HTTPConnection(WORKER_METRICS_HOST, port, timeout=READ_TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()
