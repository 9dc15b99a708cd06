"""A port that is kept for several processes, and for nobody else."""

from __future__ import annotations

import socket

import pytest

from unbraid_server.port import reserve_port, try_to_listen


def test_a_reserved_port_is_refused_to_others_and_takes_no_connections() -> None:
    with reserve_port("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            try_to_listen("127.0.0.1", port)
        with pytest.raises(OSError, match="Address already in use"):
            reserve_port("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    try_to_listen("127.0.0.1", port)


def test_processes_that_ask_for_it_share_a_reserved_port() -> None:
    with reserve_port("127.0.0.1", 0) as reserved:
        address = reserved.getsockname()
        with (
            socket.create_server(address, reuse_port=True) as one,
            socket.create_server(address, reuse_port=True) as two,
        ):
            assert one.getsockname() == two.getsockname() == address


def test_connections_that_a_former_server_has_closed_are_no_obstacle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as former:
        address = former.getsockname()
        with socket.create_connection(address) as caller:
            former.accept()[0].close()
            assert caller.recv(1) == b""
    with reserve_port(*address) as reserved:
        assert reserved.getsockname() == address
