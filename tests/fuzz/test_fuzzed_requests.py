"""Whatever bytes come in, every method of every service ends in a proper status, and the server answers on.

The suite draws a few dozen requests for each method. ``pytest tests/fuzz --hypothesis-profile=fuzz`` draws more than
20,000 in all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import hypothesis
import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from unbraid.v1 import catalogue_pb2, recommendation_pb2, release_pb2, status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.ports import Event, UserEvent
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import MAX_REQUEST_BYTES, Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

TIMEOUT_S = 60.0
METHODS = {
    method.full_name.removeprefix("unbraid.v1."): method
    for module in (recommendation_pb2, catalogue_pb2, release_pb2, status_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# Half of what the profile says for each method: 50 in the suite. A call that starts a process has a tenth.
EXAMPLES = hypothesis.settings().max_examples // 2
STARTS_A_PROCESS = {"ReleaseService.RebuildIndex"}
# What a caller can bring about; the rest would be the server's fault.
PROPER = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
# Field 1 again, which wins: a rebuild of a release that there is would take seconds.
NO_RELEASE = release_pb2.RebuildIndexRequest(release_id="none").SerializeToString()
GOLDEN = recommendation_pb2.RecommendRequest(
    history=recommendation_pb2.History(
        events=[
            recommendation_pb2.Event(item_id=item_id, event_time=Timestamp(seconds=1_767_000_000))
            for item_id in ("k01", "k02", "c05")
        ]
    ),
    as_of_time=Timestamp(seconds=1_767_500_000),
    limit=10,
)


@contextmanager
def serving(model: Model, releases: Path, folder: Path) -> Iterator[grpc.Channel]:
    """A server of its own, which requests may change."""
    folder.mkdir()
    root = Path(shutil.copytree(releases, folder / "releases"))
    state, catalogue = SqliteStateStore(folder / "state.db"), SqliteCatalogueStore(folder / "catalogue.sqlite")
    state.append(UserEvent("u", Event(item_id, 1.7e9, "view")) for item_id in ("k00", "c01"))
    settings = ServerSettings(port=0, releases=root)
    server = Server(ActiveModel(model, catalogue), state, settings, open_log("critical"))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        yield channel
    server.stop(grace_s=0)
    catalogue.close()
    state.close()


def call(channel: grpc.Channel, method: MethodDescriptor, request: bytes) -> grpc.Call | None:
    """Send bytes; the refusal, or None where there is an answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    # Without serializers, bytes come and go; the type stubs know of messages only.
    raw: Any = channel
    try:
        if method.client_streaming:
            list(raw.stream_stream(path)(iter([request, request]), timeout=TIMEOUT_S))
        elif method.server_streaming:
            list(raw.unary_stream(path)(request + NO_RELEASE, timeout=TIMEOUT_S))
        else:
            raw.unary_unary(path)(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return cast("grpc.Call", error)  # every error of a call is that call, too
    return None


def is_explained(refusal: grpc.Call) -> bool:
    """Whether the status says in words for machines why."""
    status = rpc_status.from_call(refusal)
    info = error_details_pb2.ErrorInfo()
    return status is not None and any(detail.Unpack(info) for detail in status.details) and bool(info.reason)


@pytest.mark.parametrize("name", METHODS)
def test_any_bytes_end_in_a_proper_status_and_the_server_answers_on(
    name: str,
    model_v1: Model,
    releases_v1: Path,
    tmp_path: Path,
    fuzzed: Callable[[Descriptor], st.SearchStrategy[bytes]],
) -> None:
    method = METHODS[name]
    examples = EXAMPLES // 10 if name in STARTS_A_PROCESS else EXAMPLES
    with serving(model_v1, releases_v1, tmp_path / "server") as channel:
        stub = RecommendationServiceStub(channel)
        golden = stub.Recommend(GOLDEN, timeout=TIMEOUT_S)

        @hypothesis.settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
        @given(request=fuzzed(method.input_type))
        def check(request: bytes) -> None:
            hypothesis.assume(len(request) <= MAX_REQUEST_BYTES)  # larger ones gRPC refuses itself, with no details
            refusal = call(channel, method, request)
            if refusal is not None:
                assert refusal.code() in PROPER, refusal.details()
                assert is_explained(refusal), refusal.details()

        check()
        after = stub.Recommend(GOLDEN, timeout=TIMEOUT_S)
    if method.GetOptions().idempotency_level == method.GetOptions().NO_SIDE_EFFECTS:
        assert after == golden
    else:
        assert (after.release_id, after.basis) == (golden.release_id, golden.basis)
