"""Bearer tokens: a channel of either kind that sends one with every call."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

__all__ = ["Token", "aio_bearers", "is_loopback", "sync_bearer"]

# A token, or what returns one; it is asked before every call, so it keeps what it has fetched until that expires.
Token = str | Callable[[], str]

HEADER = "authorization"
LOCAL_SCHEMES = ("unix", "unix-abstract")
ADDRESS_SCHEMES = ("dns", "ipv4", "ipv6")


def is_loopback(target: str) -> bool:
    """Whether what is sent to a target stays on this machine, whatever names resolve to."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme in LOCAL_SCHEMES:
        return True
    addresses = rest.lstrip("/") if colon and scheme in ADDRESS_SCHEMES else target
    return all(_is_loopback_address(address) for address in addresses.split(","))


def _is_loopback_address(address: str) -> bool:
    host = address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    """What an interceptor hands on; gRPC has no public class of it."""

    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _SyncBearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, token: Token) -> None:
        self._token = token

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request_iterator)

    def _signed(self, details: grpc.ClientCallDetails) -> _CallDetails:
        return _CallDetails(
            details.method,
            details.timeout,
            (*(details.metadata or ()), _header(self._token)),
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


class _AioBearer:
    def __init__(self, token: Token) -> None:
        self._token = token

    def _signed(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        return grpc.aio.ClientCallDetails(
            details.method,
            details.timeout,
            grpc.aio.Metadata(*(details.metadata or ()), _header(self._token)),
            details.credentials,
            details.wait_for_ready,
        )


# gRPC asks an asyncio interceptor for one kind of calls only, so there is one for each.
class _UnaryUnaryBearer(_AioBearer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request)


class _UnaryStreamBearer(_AioBearer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request)


class _StreamUnaryBearer(_AioBearer, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request_iterator)


class _StreamStreamBearer(_AioBearer, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request_iterator)


def sync_bearer(token: Token) -> grpc.UnaryUnaryClientInterceptor:
    """Sends the token with blocking calls of all kinds."""
    return _SyncBearer(token)


def aio_bearers(token: Token) -> list[grpc.aio.ClientInterceptor]:
    """Send the token with asyncio calls, one for each kind of them."""
    return [_UnaryUnaryBearer(token), _UnaryStreamBearer(token), _StreamUnaryBearer(token), _StreamStreamBearer(token)]


def _header(token: Token) -> tuple[str, str]:
    return HEADER, f"Bearer {token if isinstance(token, str) else token()}"
