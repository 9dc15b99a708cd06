"""Ports of this machine."""

from __future__ import annotations

import socket

__all__ = ["try_to_listen"]


def try_to_listen(host: str, port: int) -> None:
    """Bind for a moment: the system says why it refuses, where gRPC only logs lines of its own.

    Raises:
        OSError: the address cannot be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
