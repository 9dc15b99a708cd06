"""StatusService: what the server is made of and what it decided at start."""

from __future__ import annotations

import grpc

from unbraid.v1 import status_pb2 as pb
from unbraid.v1.status_pb2_grpc import StatusServiceServicer
from unbraid_core.live.delta import Delta
from unbraid_core.live.limits import rebuild_reason
from unbraid_core.ports import StateStore
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher
from unbraid_server.model import Model
from unbraid_server.onnx_session import INTRA_OP_THREADS
from unbraid_server.recall_monitor import RecallMonitor, RecallSummary
from unbraid_server.release_watcher import ReleaseWatcher, TakeoverFailure
from unbraid_server.responses import PROFILES
from unbraid_server.security import Security
from unbraid_server.serving_figures import ServingFigures
from unbraid_server.serving_messages import serving_status
from unbraid_server.timestamps import timestamp
from unbraid_server.versions import component_versions

__all__ = ["StatusService"]


class StatusService(StatusServiceServicer):
    """Describes the running server.

    Args:
        active: which model answers.
        watcher: knows why another one does not.
        state: the state store, for its number of users.
        recall: what the index finds of live questions.
        figures: of calls and batches.
        batcher: knows how many questions wait.
        security: TLS and authentication.
        max_concurrent_calls: calls that can be in progress at once.
        start_time_s: when the server became ready, epoch seconds.
        worker_number: which of the workers this is, from 1.
        worker_count: how many share the address.
    """

    def __init__(
        self,
        active: ActiveModel,
        watcher: ReleaseWatcher,
        state: StateStore,
        recall: RecallMonitor,
        figures: ServingFigures,
        batcher: Batcher,
        security: Security,
        max_concurrent_calls: int,
        start_time_s: float,
        worker_number: int,
        worker_count: int,
    ) -> None:
        self._active = active
        self._watcher = watcher
        self._state = state
        self._recall = recall
        self._figures = figures
        self._batcher = batcher
        self._security = security
        self._max_concurrent_calls = max_concurrent_calls
        self._start_time_s = start_time_s
        self._worker_number = worker_number
        self._worker_count = worker_count

    def GetStatus(self, request: pb.GetStatusRequest, context: grpc.ServicerContext) -> pb.GetStatusResponse:
        """Describe the server."""
        model = self._active.current()
        versions = component_versions()
        return pb.GetStatusResponse(
            release=_release_status(model),
            device=_device_status(model),
            versions=[pb.ComponentVersion(name=name, version=version) for name, version in versions.items()],
            start_time=timestamp(self._start_time_s),
            user_count=self._state.count_users(),
            max_concurrent_calls=self._max_concurrent_calls,
            last_activation_error=_activation_error(self._watcher.failure),
            catalogue=_catalogue_status(model.delta),
            live_recall=_recall_status(self._recall.summary(model)),
            worker_number=self._worker_number,
            worker_count=self._worker_count,
            serving=serving_status(self._figures.snapshot(), self._batcher.waiting_count, model.pipeline.cache),
            security=_security_status(self._security),
        )


def _release_status(model: Model) -> pb.ReleaseStatus:
    manifest = model.manifest
    return pb.ReleaseStatus(
        release_id=manifest.release_id,
        space_id=manifest.space_id,
        created_time=timestamp(manifest.created_time.timestamp()),
        item_count=len(model.catalogue),
        interest_count=manifest.encoder.interest_count,
        dimension=manifest.encoder.dimension,
        max_history=manifest.encoder.max_history,
        index_family=manifest.index.family,
        index_recall=manifest.index.recall,
        index_recall_at=manifest.index.recall_at,
        ranking_profiles=[PROFILES[profile] for profile in model.profiles],
    )


def _activation_error(failure: TakeoverFailure | None) -> pb.ActivationError | None:
    if failure is None:
        return None
    return pb.ActivationError(
        release_id=failure.release_id,
        reason=failure.error.reason,
        message=failure.error.message,
        error_time=timestamp(failure.time_s),
    )


def _security_status(security: Security) -> pb.SecurityStatus:
    expire_time = security.certificate_expire_time
    return pb.SecurityStatus(
        encrypted=expire_time is not None,
        authenticated=security.is_authenticated,
        certificate_expire_time=None if expire_time is None else timestamp(expire_time.timestamp()),
        refused_files=security.refused_files,
    )


def _recall_status(summary: RecallSummary) -> pb.RecallStatus:
    if summary.sample_count == 0:
        return pb.RecallStatus()
    return pb.RecallStatus(
        sample_count=summary.sample_count,
        merged_recall=summary.recall,
        merged_recall_p05=summary.recall_p05,
        fill_rate=summary.fill_rate,
        rebuild_reason=summary.rebuild_reason,
    )


def _catalogue_status(delta: Delta) -> pb.CatalogueStatus:
    return pb.CatalogueStatus(
        changed_item_count=len(delta.row_of),
        replaced_item_count=delta.replaced_count,
        homeless_item_count=len(delta.homeless),
        sequence=delta.sequence,
        rebuild_reason=rebuild_reason(delta),
    )


def _device_status(model: Model) -> pb.DeviceStatus:
    device = model.device
    return pb.DeviceStatus(
        requested=device.requested,
        active=device.active,
        providers=device.providers,
        intra_op_thread_count=INTRA_OP_THREADS,
        reason=device.reason,
        retrieval=model.retrieval.active,
        retrieval_reason=model.retrieval.reason,
    )
