"""The life of a server process: open everything, serve until a signal comes, drain, leave."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from unbraid_core.interest_cache import InterestCache
from unbraid_server.active_model import ActiveModel
from unbraid_server.allocator import keep_memory_together
from unbraid_server.bucketed_encoder import shape_ranges
from unbraid_server.cores import keep_to_core
from unbraid_server.device_options import provider_options
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.onnx_session import INTRA_OP_THREADS
from unbraid_server.sent_signals import SentSignals
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.signing import trusted_releases
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_server.versions import component_versions
from unbraid_server.worker_news import Ready

__all__ = ["run"]

MEGABYTE = 10**6


def run(settings: ServerSettings, on_ready: Callable[[Ready], None], worker: int = 1) -> None:
    """Serve the active release until SIGTERM or SIGINT, then let calls in progress finish.

    Whichever release is activated meanwhile is taken over; SIGHUP does so at once, and tries a refused one again.

    Call it from the main thread: only that one receives signals.

    Args:
        settings: of the server.
        on_ready: called once the server accepts calls.
        worker: which of the workers this process is; with more than one, a supervisor holds the port for all.

    Raises:
        NotFound: no release is active.
        IntegrityError, IncompatibleError: the release, or the state or catalogue file, cannot be used.
        DeviceUnavailable: what was demanded of a GPU cannot be had.
        InvalidInput: the state or catalogue file cannot be written, or a file for TLS or authentication cannot be used.
        Unavailable: the address cannot be had.
    """
    keep_memory_together()
    if settings.keeps_to_cores:
        keep_to_core(worker)
    log = open_log(settings.log_level, settings.log_format)
    if settings.worker_count > 1:
        log = log.bind(worker=worker)
    signals = SentSignals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    cache = InterestCache(settings.interest_cache_mb * MEGABYTE) if settings.interest_cache_mb else None
    model = load_model(trusted_releases(settings).open(), settings.device, cache, settings.device_options)
    state = SqliteStateStore(settings.state)
    catalogue = SqliteCatalogueStore(settings.catalogue_file)
    try:
        active = ActiveModel(model, catalogue, settings.batch_limit)
        active.warm_up()
        server = Server(active, state, settings, log, worker=worker)
        metrics_port = None
        if settings.metrics_port is not None:
            metrics_port = server.metrics.listen(settings.metrics_host, settings.metrics_port)
            log.info("metrics", port=metrics_port)
        # What there is by now stays: without this, every full collection of garbage would go through all of it.
        gc.collect()
        gc.freeze()
        port = server.start()
        _log_decisions(log, settings, model, port)
        on_ready(Ready(address=f"{settings.host}:{port}", release_id=model.release_id, metrics_port=metrics_port))
        while signals.wait() is signal.SIGHUP:
            server.look_for_release()
        log.info("draining", grace_s=settings.grace_s)
        server.stop(settings.grace_s)
    finally:
        catalogue.close()
        state.close()
    log.info("stopped")


def _log_decisions(log: FilteringBoundLogger, settings: ServerSettings, model: Model, port: int) -> None:
    """Everything that decides how calls are answered, once."""
    manifest = model.manifest
    log.info(
        "serving",
        release_id=model.release_id,
        space_id=model.space_id,
        items=len(model.catalogue),
        index=manifest.index.family,
        index_params=manifest.index.search_params,
        device=model.device.active.value,
        device_requested=model.device.requested.value,
        device_reason=model.device.reason,
        provider_options=provider_options(model.device.providers, model.device.options, shape_ranges(manifest.encoder)),
        retrieval=model.retrieval.active.value,
        retrieval_requested=model.retrieval.requested.value,
        retrieval_reason=model.retrieval.reason,
        encoder_threads=INTRA_OP_THREADS,
        pinned=settings.keeps_to_cores,
        faiss_threads=os.environ.get("OMP_NUM_THREADS", "1"),
        batch_limit=settings.batch_limit,
        queue_limit=settings.queue_limit,
        degrade_after_ms=settings.degrade_after_ms,
        interest_cache_mb=settings.interest_cache_mb,
        max_concurrent_calls=settings.max_concurrent_calls,
        host=settings.host,
        port=port,
        tls=settings.is_encrypted,
        authenticated=settings.is_authenticated,
        state=str(settings.state),
        catalogue=str(settings.catalogue_file),
        versions=component_versions(),
    )
