"""Health, reflection and status over a real socket."""

from __future__ import annotations

import platform
import time
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from unbraid.v1 import status_pb2
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.ports import Event, UserEvent
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

SERVICES = ["unbraid.v1.RecommendationService", "unbraid.v1.StatusService"]


def check(channel: grpc.Channel, service: str) -> HealthCheckResponse:
    call = channel.unary_unary(
        "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return call(HealthCheckRequest(service=service))


@pytest.mark.parametrize("name", ["", *SERVICES])
def test_every_service_is_serving(channel_v1: grpc.Channel, name: str) -> None:
    assert check(channel_v1, name).status == HealthCheckResponse.SERVING


def test_a_service_that_is_not_there_is_not_found(channel_v1: grpc.Channel, refused: Refused) -> None:
    assert refused(lambda: check(channel_v1, "unbraid.v2.Nothing")).code is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_their_files(channel_v1: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel_v1)
    assert {*SERVICES, "grpc.health.v1.Health"} <= set(database.get_services())
    assert database.FindFileContainingSymbol(SERVICES[0]).name == "unbraid/v1/recommendation.proto"


def test_a_watch_is_told_of_the_drain_and_then_let_go(
    model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> None:
    server = Server(ActiveModel(model_v1, unchanged), state_v1, ServerSettings(port=0), open_log("error"))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        seen: SimpleQueue[int | None] = SimpleQueue()
        responses = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )(HealthCheckRequest(service=SERVICES[0]))

        def watch() -> None:
            for response in responses:
                seen.put(response.status)
            seen.put(None)

        watcher = Thread(target=watch)
        watcher.start()
        assert seen.get(timeout=10) == HealthCheckResponse.SERVING
        start_s = time.monotonic()
        server.stop(grace_s=60)
        assert time.monotonic() - start_s < 30
        assert seen.get(timeout=10) == HealthCheckResponse.NOT_SERVING
        assert seen.get(timeout=10) is None
        watcher.join()


def test_status_describes_release_device_versions_and_limits(
    channel_v1: grpc.Channel, model_v1: Model, state_v1: SqliteStateStore
) -> None:
    state_v1.append([UserEvent("status-user", Event("k00", 1.0))])
    status = StatusServiceStub(channel_v1).GetStatus(status_pb2.GetStatusRequest())
    release = status.release
    assert (release.release_id, release.space_id) == (model_v1.release_id, model_v1.space_id)
    assert (release.item_count, release.interest_count, release.dimension, release.max_history) == (24, 2, 8, 6)
    assert (release.index_family, release.index_recall, release.index_recall_at) == ("flat", 1.0, 10)
    assert release.created_time.ToDatetime().isoformat() == "2026-01-01T12:00:00"
    assert (status.device.requested, status.device.active) == ("cpu", "cpu")
    assert status.device.reason == "the setting demands it"
    assert (status.device.retrieval, status.device.retrieval_reason) == ("index", "the setting demands it")
    assert (list(status.device.providers), status.device.intra_op_thread_count) == (["CPUExecutionProvider"], 1)
    versions = {component.name: component.version for component in status.versions}
    assert set(versions) == {"unbraid", "onnxruntime", "faiss", "numpy", "grpcio", "python"}
    assert versions["python"] == platform.python_version()
    assert status.user_count == state_v1.count_users() >= 1
    assert status.max_concurrent_calls == ServerSettings(port=0).max_concurrent_calls
    assert abs(status.start_time.ToSeconds() - time.time()) < 3600
