"""Channels for load: one connection each, no retries, and bytes instead of messages."""

from __future__ import annotations

from typing import Any, cast

import grpc.aio

from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_client import Tls
from unbraid_client.bearer import aio_bearers

__all__ = ["open_load_channel", "raw_stub"]

CHANNEL_OPTIONS = (
    # Otherwise channels of one process would share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)


def open_load_channel(target: str, tls: Tls | None, token: str | None) -> grpc.aio.Channel:
    """A channel that has a connection of its own and passes on every status as it comes.

    Raises:
        OSError: a file for TLS cannot be read.
    """
    bearers = None if token is None else aio_bearers(token)
    if tls is None:
        return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS, interceptors=bearers)
    name = () if tls.server_name is None else (("grpc.ssl_target_name_override", tls.server_name),)
    options = (*CHANNEL_OPTIONS, *name)
    return grpc.aio.secure_channel(target, tls.credentials(), options=options, interceptors=bearers)


def raw_stub(channel: grpc.aio.Channel) -> Any:
    """The generated stub, whose methods take and return serialised messages."""
    return RecommendationServiceStub(cast("grpc.aio.Channel", _RawChannel(channel)))


class _RawChannel:
    """Stands between a stub and its channel, and leaves out what the stub would have it do with messages."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, **_: object) -> object:
        return self._channel.unary_unary(method)

    def stream_stream(self, method: str, **_: object) -> object:
        return self._channel.stream_stream(method)
