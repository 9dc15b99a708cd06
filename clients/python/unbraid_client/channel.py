"""How a client connects: retries, balancing and limits, the same for the blocking and the asyncio client."""

from __future__ import annotations

import json

import grpc
import grpc.aio

from unbraid_client.arguments import checked
from unbraid_client.bearer import Token, aio_bearers, is_loopback, sync_bearer
from unbraid_client.tls import Tls

__all__ = ["DEFAULT_TARGET", "DEFAULT_TIMEOUT_S", "RELEASE_TIMEOUT_S", "open_aio_channel", "open_channel"]

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 5.0
# A release is verified and tried before it is activated, and an index takes its time to be built.
RELEASE_TIMEOUT_S = 600.0
MAX_RECEIVE_BYTES = 16 * 1024 * 1024

# Every method of the contract is idempotent, so a call may be sent again. CANCELLED is what a server answers to
# calls that it cuts off while it stops. The throttle is the retry budget: a failed attempt costs a token, a success
# gives a tenth of one back, and below half of the tokens nothing is retried: so many calls of a channel may be in
# progress with a server process that dies.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": "unbraid.v1.RecommendationService"},
                {"service": "unbraid.v1.CatalogService"},
                {"service": "unbraid.v1.StatusService"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    # Otherwise all clients of a process would share a connection, and so meet one worker of a server that has several.
    ("grpc.use_local_subchannel_pool", 1),
    # A connection to a process that dies at that moment is reset. The next one, to another worker, must come before the
    # retries are used up, which is after .6 to .8 s; by default it comes after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
)


def open_channel(
    target: str, credentials: grpc.ChannelCredentials | None, tls: Tls | None, token: Token | None
) -> grpc.Channel:
    """A channel for blocking calls; plain text where there are neither credentials nor TLS.

    Raises:
        ValueError: credentials and TLS both, or a token that would travel to another machine in plain text.
        OSError: a file for TLS cannot be read.
    """
    encryption, options = _encryption(target, credentials, tls, token)
    if encryption is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, encryption, options=options)
    return channel if token is None else grpc.intercept_channel(channel, sync_bearer(token))


def open_aio_channel(
    target: str, credentials: grpc.ChannelCredentials | None, tls: Tls | None, token: Token | None
) -> grpc.aio.Channel:
    """A channel for asyncio calls; see ``open_channel``."""
    encryption, options = _encryption(target, credentials, tls, token)
    bearers = None if token is None else aio_bearers(token)
    if encryption is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=bearers)
    return grpc.aio.secure_channel(target, encryption, options=options, interceptors=bearers)


def _encryption(
    target: str, credentials: grpc.ChannelCredentials | None, tls: Tls | None, token: Token | None
) -> tuple[grpc.ChannelCredentials | None, tuple[tuple[str, str | int], ...]]:
    checked(target, str, "target", "host:port as a str")
    checked(tls, Tls | None, "tls", "a Tls")
    if token is not None and not isinstance(token, str) and not callable(token):
        raise TypeError(f"token: is of type {type(token).__name__}; give a str, or a function that returns one")
    if tls is None:
        if credentials is None and token is not None:
            if not is_loopback(target):
                raise ValueError(f"a token must not travel to {target} in plain text: give tls as well")
            # A proxy of the environment would be another machine.
            return None, (*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0))
        return credentials, CHANNEL_OPTIONS
    if credentials is not None:
        raise ValueError("give either credentials or tls")
    if tls.server_name is None:
        return tls.credentials(), CHANNEL_OPTIONS
    return tls.credentials(), (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", tls.server_name))
