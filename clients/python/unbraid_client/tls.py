"""How a client and a server prove to each other who they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc

__all__ = ["SecurityStatus", "Tls"]


@dataclass(frozen=True, slots=True)
class Tls:
    """Encryption of a channel.

    Attributes:
        ca: PEM file with the CAs that may speak for a server; None takes those that gRPC brings.
        certificate: PEM file with the client's own certificate, for servers that want one; with ``key``.
        key: PEM file with its private key.
        server_name: what the server's certificate must be for, where that is not the host of the target.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        """A pair is whole.

        Raises:
            ValueError: it is not.
        """
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key of a client belong together: give both, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel; the files are read now.

        Raises:
            OSError: one of them cannot be read.
        """
        ca, key, certificate = (
            None if path is None else Path(path).read_bytes() for path in (self.ca, self.key, self.certificate)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)


@dataclass(frozen=True, slots=True)
class SecurityStatus:
    """TLS and authentication; ``refused_files`` were changed and cannot be used, so what they said before counts."""

    encrypted: bool
    authenticated: bool
    certificate_expire_time: datetime | None
    refused_files: tuple[str, ...]
