"""Servers with settings of their own, and calls that are refused, as the tests of the server look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore


@dataclass(frozen=True)
class Refusal:
    """The status of a refused call, with its google.rpc details where it carries some."""

    code: grpc.StatusCode
    message: str
    info: error_details_pb2.ErrorInfo
    bad_request: error_details_pb2.BadRequest
    retry: error_details_pb2.RetryInfo


Refused = Callable[[Callable[[], object]], Refusal]


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Makes a call, checks that it is refused, and says how."""

    def make(call: Callable[[], object]) -> Refusal:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        # Every error of a call is that call, too; the type stubs declare the two classes incompatible.
        status = cast("grpc.Call", caught.value)
        details: list[Message] = [
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        ]
        rich = rpc_status.from_call(status)
        for packed in rich.details if rich else []:
            assert sum(packed.Unpack(detail) for detail in details) == 1
        return Refusal(status.code(), status.details() or "", *details)

    return make


class Listening(Protocol):
    """Starts a server and returns its port."""

    def __call__(self, *, level: str = "error", **settings: Any) -> int: ...


@pytest.fixture
def listening(model_v1: Model, state_v1: SqliteStateStore, tmp_path: Path) -> Iterator[Listening]:
    """Servers of the committed release with settings and a catalogue of their own, stopped after the test."""
    with closing(SqliteCatalogueStore(tmp_path / "catalogue.sqlite")) as catalogue, ExitStack() as running:

        def start(*, level: str = "error", **settings: Any) -> int:
            chosen = ServerSettings.load(port=0, **settings)
            server = Server(ActiveModel(model_v1, catalogue), state_v1, chosen, open_log(level))
            port = server.start()
            running.callback(server.stop, grace_s=0)
            return port

        yield start
