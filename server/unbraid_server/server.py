"""The gRPC server of one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from unbraid.v1 import catalogue_pb2, recommendation_pb2, status_pb2
from unbraid.v1.catalogue_pb2_grpc import add_CatalogServiceServicer_to_server
from unbraid.v1.recommendation_pb2_grpc import add_RecommendationServiceServicer_to_server
from unbraid.v1.release_pb2_grpc import add_ReleaseServiceServicer_to_server
from unbraid.v1.status_pb2_grpc import add_StatusServiceServicer_to_server
from unbraid_core.filter import MAX_CONDITIONS, MAX_VALUES
from unbraid_core.ports import StateStore
from unbraid_server.active_model import ActiveModel
from unbraid_server.batch_requests import MAX_ENTRIES, MAX_QUESTIONS
from unbraid_server.batcher import Batcher
from unbraid_server.call_boundary import CallBoundary
from unbraid_server.call_threads import CallThreads
from unbraid_server.catalogue_service import CatalogService
from unbraid_server.catalogue_watcher import CatalogueWatcher
from unbraid_server.cores import roam
from unbraid_server.door import Door
from unbraid_server.health import Health
from unbraid_server.message_reader import MessageReader
from unbraid_server.metrics import Metrics
from unbraid_server.port import address_refused, try_to_listen
from unbraid_server.recall_monitor import RecallMonitor
from unbraid_server.recommendation_service import STREAM_METHOD, RecommendationService
from unbraid_server.recommender import Recommender
from unbraid_server.release_service import ReleaseService
from unbraid_server.release_watcher import ReleaseWatcher
from unbraid_server.security import Security
from unbraid_server.serving_figures import ServingFigures
from unbraid_server.settings import ServerSettings
from unbraid_server.signing import trusted_releases
from unbraid_server.slow_calls import SlowCalls
from unbraid_server.status_service import StatusService
from unbraid_server.streams import Streams

if TYPE_CHECKING:
    from unbraid_server.traces import Traces

__all__ = ["Server"]

SERVICE_NAMES = tuple(
    service.full_name
    for module in (recommendation_pb2, catalogue_pb2, status_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
# Room for the largest request that the limits allow, at 400 bytes for each event and listed id, about 100 for each
# value of a filter, and 1000 for all else of a question.
MAX_REQUEST_BYTES = 400 * MAX_ENTRIES + 100 * MAX_CONDITIONS * MAX_VALUES + 1000 * MAX_QUESTIONS

# They take seconds to minutes, and one at a time works on a folder.
SLOW_METHODS = tuple(
    f"/unbraid.v1.ReleaseService/{name}" for name in ("ActivateRelease", "RollbackRelease", "RebuildIndex")
)
SLOW_CALL_THREADS = 2
# For calls that are no questions, while there are as many questions as may be.
SPARE_THREADS = 16

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # Find dead connections within two and a half minutes, and let clients ask as often as every half minute.
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
)


class Server:
    """Answers calls until it is stopped; takes over activated releases, and changes of the catalogue.

    Args:
        active: which model answers; the server replaces it.
        state: histories by user id; it stays open, closing it is up to the caller.
        settings: address, TLS, authentication, threads, limits and folder of releases. More than one worker means that
            a supervisor holds the port.
        log: for calls.
        now: epoch seconds.
        worker: which of the workers this one is.
        batcher_type: what answers calls that come at the same time; benchmarks compare others with ours.

    Raises:
        InvalidInput: a file for TLS or authentication cannot be used.

    Attributes:
        metrics: for Prometheus; nobody can read them before ``metrics.listen``.
    """

    def __init__(
        self,
        active: ActiveModel,
        state: StateStore,
        settings: ServerSettings,
        log: FilteringBoundLogger,
        now: Callable[[], float] = time.time,
        worker: int = 1,
        batcher_type: type[Batcher] = Batcher,
    ) -> None:
        self._host, self._port, self._address = settings.host, settings.port, settings.address
        self._shares_port = settings.worker_count > 1
        self._health = Health(SERVICE_NAMES)
        self._security = Security(settings, log, now)
        releases = trusted_releases(settings)
        self._watcher = ReleaseWatcher(releases, active, log, now)
        self._catalogue_watcher = CatalogueWatcher(active, log)
        self._recall = RecallMonitor(settings.recall_sample_share)
        self._traces = _traces(settings, log)
        figures = ServingFigures()
        batcher = batcher_type(
            settings.batch_limit, settings.queue_limit, watch=figures, patience_s=settings.patience_s
        )
        self.metrics = Metrics(active, self._recall, figures, batcher)
        # What cannot wait as a whole would be refused whenever something else is answered.
        together_limit = min(settings.batch_limit, settings.queue_limit)
        recommender = Recommender(active, state, batcher, together_limit, self._recall, now)
        self._streams = Streams(settings.max_streams, together_limit)
        self._calls = CallThreads(settings.max_concurrent_calls + SPARE_THREADS, "call")
        self._slow_calls = CallThreads(SLOW_CALL_THREADS, "slow-call", roam)
        self._server = self._grpc_server(active, settings, figures, log)
        status = StatusService(
            active,
            self._watcher,
            state,
            self._recall,
            figures,
            batcher,
            self._security,
            settings.max_concurrent_calls,
            start_time_s=now(),
            worker_number=worker,
            worker_count=settings.worker_count,
        )
        add_RecommendationServiceServicer_to_server(RecommendationService(recommender, self._streams), self._server)
        add_CatalogServiceServicer_to_server(CatalogService(active), self._server)
        add_StatusServiceServicer_to_server(status, self._server)
        add_ReleaseServiceServicer_to_server(
            ReleaseService(releases, active, self._watcher, settings, now), self._server
        )
        add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def _grpc_server(
        self, active: ActiveModel, settings: ServerSettings, figures: ServingFigures, log: FilteringBoundLogger
    ) -> grpc.Server:
        """A server without services; what a call passes on its way to one, outermost first."""
        witnesses = [SlowCalls(log, settings.slow_call_ms / 1e3).ended]
        if self._traces is not None:
            witnesses.append(self._traces.ended)
        apart = {**dict.fromkeys(SLOW_METHODS, self._slow_calls), STREAM_METHOD: self._streams.threads}
        return grpc.server(
            self._calls,
            interceptors=[
                Door(settings.max_concurrent_calls, (self._calls, self._streams.threads), figures),
                CallBoundary(log, active, figures, witnesses, apart),
                MessageReader(),
                *self._security.interceptors,
            ],
            # Where it need not share, a second server on the same port would start silently and take half of the calls.
            options=[*CHANNEL_OPTIONS, ("grpc.so_reuseport", int(self._shares_port))],
            maximum_concurrent_rpcs=settings.max_concurrent_calls + SPARE_THREADS,
        )

    def start(self) -> int:
        """Listen, and return the port.

        Raises:
            Unavailable: the address cannot be had.
        """
        try:
            if not self._shares_port:
                try_to_listen(self._host, self._port)
            port = self._security.listen(self._server, self._address)
        except OSError as error:
            raise address_refused(self._address, str(error.strerror)) from None
        except RuntimeError:
            raise address_refused(self._address, "the port was taken just now") from None
        self._recall.start()
        self._server.start()
        self._watcher.start()
        self._catalogue_watcher.start()
        self._health.serve()
        return port

    def look_for_release(self) -> None:
        """Look now whether another release was activated."""
        self._watcher.wake()

    def stop(self, grace_s: float) -> None:
        """Refuse new calls, and return when those in progress are done.

        After ``grace_s`` their callers are told that they are cancelled; what runs already still runs to its end.
        """
        self._health.drain()
        stopped = self._server.stop(grace_s)
        self._streams.stop()
        stopped.wait()
        self._watcher.stop()
        self._catalogue_watcher.stop()
        self._calls.close()
        self._streams.close()
        self._slow_calls.close()
        self._security.close()
        self._recall.stop()
        if self._traces is not None:
            self._traces.close(grace_s)
        self.metrics.close()

    def wait(self) -> None:
        """Block until the server was stopped."""
        self._server.wait_for_termination()


def _traces(settings: ServerSettings, log: FilteringBoundLogger) -> Traces | None:
    """Traces where they are wanted; without, none of their library is loaded."""
    if settings.otlp_endpoint is None:
        return None
    from unbraid_server.traces import open_traces  # noqa: PLC0415 - its library is an extra of its own

    return open_traces(settings.otlp_endpoint, settings.trace_sample_share, log)
