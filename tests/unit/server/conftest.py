"""Calls that are refused, as the tests of the server look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status


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
