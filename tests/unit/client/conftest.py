"""A real gRPC server on loopback whose answers are scripted, and both clients behind one way to call them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2 as rpc_status_pb2
from grpc_status import rpc_status

from unbraid.v1 import catalogue_pb2, recommendation_pb2_grpc, status_pb2, status_pb2_grpc
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_cli.app import run
from unbraid_client import AsyncUnbraidClient, UnbraidClient

Step = Callable[[grpc.ServicerContext], Message]


class ScriptedServer(recommendation_pb2_grpc.RecommendationServiceServicer, status_pb2_grpc.StatusServiceServicer):
    """Plays its script attempt by attempt, the last step for ever, and keeps what it was asked."""

    def __init__(self) -> None:
        self.target = ""
        self.requests: list[Any] = []
        self.seconds_left: list[float] = []
        self.peers: list[str] = []
        self.closing = threading.Event()
        self._script: list[Step] = []

    def answer(self, response: Message) -> None:
        self._script.append(lambda _: response)

    def refuse(self, code: grpc.StatusCode, message: str = "scripted", *details: Message) -> None:
        status = rpc_status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)

        def abort(context: grpc.ServicerContext) -> Message:
            context.abort_with_status(rpc_status.to_status(status))

        self._script.append(abort)

    def stay_silent(self) -> None:
        def wait(_: grpc.ServicerContext) -> Message:
            self.closing.wait()
            return pb.RecommendResponse()

        self._script.append(wait)

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def GetInterests(self, request: pb.GetInterestsRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def BatchRecommend(self, request: pb.BatchRecommendRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def StreamRecommend(  # noqa: N802
        self, request_iterator: Iterator[pb.StreamRecommendRequest], context: grpc.ServicerContext
    ) -> Any:
        for request in request_iterator:
            yield self._step(request, context)

    def RankItems(self, request: pb.RankItemsRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def SimilarItems(self, request: pb.SimilarItemsRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def GetItems(self, request: catalogue_pb2.GetItemsRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def GetStatus(self, request: status_pb2.GetStatusRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._step(request, context)

    def _step(self, request: Message, context: grpc.ServicerContext) -> Message:
        self.requests.append(request)
        self.seconds_left.append(context.time_remaining())
        self.peers.append(context.peer())
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return step(context)


@pytest.fixture(params=[None], ids=["plain"])
def credentials(request: pytest.FixtureRequest) -> grpc.ServerCredentials | None:
    """Credentials of the server; a test that wants some parametrizes this."""
    chosen: grpc.ServerCredentials | None = request.param
    return chosen


@pytest.fixture
def server(credentials: grpc.ServerCredentials | None) -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    with ThreadPoolExecutor(4) as pool:
        running = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        recommendation_pb2_grpc.add_RecommendationServiceServicer_to_server(scripted, running)
        get_items = grpc.unary_unary_rpc_method_handler(
            scripted.GetItems,
            catalogue_pb2.GetItemsRequest.FromString,
            catalogue_pb2.GetItemsResponse.SerializeToString,
        )
        catalogue = grpc.method_handlers_generic_handler("unbraid.v1.CatalogService", {"GetItems": get_items})
        running.add_generic_rpc_handlers([catalogue])
        status_pb2_grpc.add_StatusServiceServicer_to_server(scripted, running)
        address = "127.0.0.1:0"
        port = (
            running.add_insecure_port(address) if credentials is None else running.add_secure_port(address, credentials)
        )
        scripted.target = f"127.0.0.1:{port}"
        running.start()
        yield scripted
        scripted.closing.set()
        running.stop(grace=None).wait()


class Call(Protocol):
    """Calls a method of a client by its name."""

    def __call__(self, method: str, **arguments: Any) -> Any: ...


@pytest.fixture(params=["blocking", "asyncio"])
def call(request: pytest.FixtureRequest, server: ScriptedServer) -> Call:
    """The same call through either client."""

    def blocking(method: str, **arguments: Any) -> Any:
        with UnbraidClient(server.target) as client:
            return getattr(client, method)(**arguments)

    async def awaited(method: str, **arguments: Any) -> Any:
        async with AsyncUnbraidClient(server.target) as client:
            return await getattr(client, method)(**arguments)

    def with_asyncio(method: str, **arguments: Any) -> Any:
        return asyncio.run(awaited(method, **arguments))

    return blocking if request.param == "blocking" else with_asyncio


class Unbraid(Protocol):
    """Runs a command and returns exit code, stdout and stderr."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def unbraid(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Unbraid:
    monkeypatch.setenv("UNBRAID_SERVER", server.target)
    monkeypatch.setenv("COLUMNS", "140")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unbraid", *arguments])
        code = run()
        out, err = capsys.readouterr()
        return code, out, err

    return command
