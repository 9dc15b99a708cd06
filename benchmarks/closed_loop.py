"""Callers that each ask again as soon as they are answered, with requests of bytes and answers that nobody reads.

    python -m benchmarks.closed_loop ITEMS USERS

It takes orders: form and target of the requests, callers, seconds. One thread plays all callers and, but for streams,
writes what goes over the wire itself, so that the load takes as little of the machine as Python allows.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
from benchmarks.closed_loop_grpc import grpc_latencies
from benchmarks.closed_loop_http import http_latencies, http_request
from benchmarks.ordered_process import answer_orders
from benchmarks.serving_requests import recommend_requests
from benchmarks.triton_requests import triton_grpc_request, triton_http_request

from unbraid.v1 import recommendation_pb2 as pb

SERVICE = "/unbraid.v1.RecommendationService"
# Of the forms that are calls of gRPC, each for itself.
METHODS = {
    "recommend": f"{SERVICE}/Recommend",
    "batch": f"{SERVICE}/BatchRecommend",
    "triton-grpc": "/inference.GRPCInferenceService/ModelInfer",
}
BATCH = 32
OPTIONS = (("grpc.max_receive_message_length", -1),)


class Load:
    """The requests in every form, and who sends them.

    Args:
        requests: one question each.
    """

    def __init__(self, requests: list[pb.RecommendRequest]) -> None:
        self._requests = requests
        self._cycles: dict[tuple[str, str], Iterator[bytes]] = {}

    def run(self, form: str, target: str, callers: int, seconds: float) -> dict[str, Any]:
        """Play so many callers for so long.

        Args:
            form: recommend, batch (32 questions a call) and stream of our own service; http, json, triton-http and
                triton-grpc of others.
            target: host:port, or a URL where the form is one of HTTP.
            callers: of a stream, questions that are on their way at any moment.
            seconds: how long.
        """
        requests = self._cycles.setdefault((form, target), itertools.cycle(list(self._messages(form, target))))
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        latencies_s = player(form)(requests, target, callers, seconds)
        return {
            "calls": len(latencies_s) * (BATCH if form == "batch" else 1),
            "wall_s": time.perf_counter() - began_s,
            "load_cpu_s": time.process_time() - began_cpu_s,
            "p50_s": float(np.quantile(latencies_s, 0.5)),
            "p99_s": float(np.quantile(latencies_s, 0.99)),
        }

    def _messages(self, form: str, target: str) -> Iterator[bytes]:
        match form:
            case "batch":
                for start in range(0, len(self._requests), BATCH):
                    some = self._requests[start : start + BATCH]
                    yield pb.BatchRecommendRequest(requests=some).SerializeToString()
            case "stream":
                for request in self._requests:
                    yield pb.StreamRecommendRequest(request=request).SerializeToString()
            case _:
                for request in self._requests:
                    yield written(form, target, request.SerializeToString())


def written(form: str, target: str, message: bytes) -> bytes:
    """A RecommendRequest as it goes to a server."""
    match form:
        case "http":
            return http_request(target, message, "application/octet-stream")
        case "json":
            body = json.dumps({"request": base64.b64encode(message).decode()}).encode()
            return http_request(target, body, "application/json")
        case "triton-http":
            return triton_http_request(target, message)
        case "triton-grpc":
            return triton_grpc_request(message)
        case _:
            return message


def player(form: str) -> Callable[[Iterator[bytes], str, int, float], list[float]]:
    """What asks requests of a form."""
    if form in METHODS:
        return partial(grpc_latencies, METHODS[form])
    return stream_latencies if form == "stream" else http_latencies


def stream_latencies(requests: Iterator[bytes], target: str, callers: int, seconds: float) -> list[float]:
    """One stream on which so many questions wait for their answers at any moment."""
    until_s = time.perf_counter() + seconds
    free = threading.Semaphore(callers)
    sent_s: list[float] = []

    def questions() -> Iterator[bytes]:
        while time.perf_counter() < until_s:
            free.acquire()
            sent_s.append(time.perf_counter())
            yield next(requests)

    latencies_s: list[float] = []
    with grpc.insecure_channel(target, OPTIONS) as channel:
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SERVICE}/StreamRecommend")
        for message in stream(questions()):
            # Only the number of outcomes is of interest, and they come in the order of the questions.
            outcomes = len(pb.StreamRecommendResponse.FromString(message).outcomes)
            now_s = time.perf_counter()
            latencies_s += [now_s - began_s for began_s in sent_s[len(latencies_s) : len(latencies_s) + outcomes]]
            free.release(outcomes)
    return latencies_s


def main() -> int:
    """Make the requests and answer orders."""
    item_count, user_count = map(int, sys.argv[1:])
    load = Load(recommend_requests(item_count, user_count))
    answer_orders(load.run, OSError, grpc.RpcError)
    return 0


if __name__ == "__main__":
    sys.exit(main())
