"""Ports of this machine: whether one can be had, and one that several processes listen on."""

from __future__ import annotations

import socket
from typing import Any

from unbraid_core.errors import Unavailable

__all__ = ["address_refused", "reserve_port", "try_to_listen"]


def try_to_listen(host: str, port: int) -> None:
    """Bind for a moment: the system says why it refuses, where gRPC only logs lines of its own.

    Raises:
        OSError: the address cannot be had.
    """
    trial, address = _stream_socket(host, port)
    with trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)


def reserve_port(host: str, port: int) -> socket.socket:
    """Keep a port for processes that will listen on it with SO_REUSEPORT; nobody else gets it until it is closed.

    It never listens itself, so it gets no connections. A process of the same user that asks for SO_REUSEPORT could
    listen too; servers of ours look first whether the port is free.

    Args:
        host: address of this machine.
        port: 0 takes any free one.

    Raises:
        OSError: the address cannot be had.
    """
    try_to_listen(host, port)
    reserved, address = _stream_socket(host, port)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        reserved.bind(address)
    except OSError:
        # It was free a moment ago, but for connections that a former server without SO_REUSEPORT has just closed.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(address)
    return reserved


def address_refused(address: str, reason: str) -> Unavailable:
    """The error for a server that cannot have its address."""
    return Unavailable(
        f"cannot listen on {address}: {reason}; stop the other server, or choose another --port or --host"
    )


def _stream_socket(host: str, port: int) -> tuple[socket.socket, Any]:
    """A socket, and the address to bind it to, whose form depends on the family."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.socket(family, kind, protocol), address
