"""A gRPC server on loopback that a test tells how to answer; load is aimed at it from processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb

Answer = Callable[[pb.RecommendRequest, grpc.ServicerContext], pb.RecommendResponse]
Serve = Callable[[Answer], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server, and says its target."""
    stops: list[Callable[[], object]] = []

    def start(answer: Answer) -> str:
        pool = ThreadPoolExecutor(16)
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        method = grpc.unary_unary_rpc_method_handler(
            answer, pb.RecommendRequest.FromString, pb.RecommendResponse.SerializeToString
        )
        service = grpc.method_handlers_generic_handler("unbraid.v1.RecommendationService", {"Recommend": method})
        server.add_generic_rpc_handlers([service])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stops.extend([lambda: server.stop(None).wait(), pool.shutdown])
        return f"127.0.0.1:{port}"

    yield start
    for stop in stops:
        stop()
