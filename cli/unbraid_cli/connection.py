"""How commands reach a server, and who they are to it. The environment says so: a command line is seen by others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unbraid_client import NotAllowed, Tls, UnbraidClient
from unbraid_client import Unavailable as ServerUnavailable
from unbraid_core.errors import InvalidInput, Unauthenticated, Unavailable

__all__ = [
    "CONNECTION_VARIABLES",
    "connected",
    "explained",
    "open_client",
    "tls_of_environment",
    "token_of_environment",
]

CA, CERTIFICATE, KEY = "UNBRAID_CA", "UNBRAID_CLIENT_CERTIFICATE", "UNBRAID_CLIENT_KEY"
TLS_NAME, TOKEN, TOKEN_FILE = "UNBRAID_TLS_NAME", "UNBRAID_TOKEN", "UNBRAID_TOKEN_FILE"
CONNECTION_VARIABLES = (CA, CERTIFICATE, KEY, TLS_NAME, TOKEN, TOKEN_FILE)

# In place of a file, for servers with a certificate of a CA that everybody knows.
SYSTEM_CAS = "system"


@contextmanager
def connected(server: str) -> Iterator[UnbraidClient]:
    """A client whose failure to find a server, or to be let in, says what to do about it.

    Raises:
        InvalidInput: the environment says half of something, or a token would travel in plain text.
        Unavailable: no server answers.
        Unauthenticated: it wants a token, or another one.
    """
    with explained(server), open_client(server) as client:
        yield client


def open_client(server: str) -> UnbraidClient:
    """A client that is what the environment says.

    Raises:
        InvalidInput: the target is none, the environment says half of something, or a token would travel in plain text.
    """
    _check_target(server)
    try:
        return UnbraidClient(server, tls=tls_of_environment(), token=token_of_environment())
    except ValueError as error:
        raise InvalidInput("--server", f"{error}; see {CA}") from None


@contextmanager
def explained(server: str) -> Iterator[None]:
    """Where no server answers what is asked inside, or one does not know who asks, say what to do about it.

    Raises:
        Unavailable: no server answers.
        Unauthenticated: it wants a token, or another one.
    """
    try:
        yield
    except NotAllowed as error:
        if error.details.reason != Unauthenticated.reason:
            raise
        raise Unauthenticated(
            f"{server} does not know who calls: name the file with your token in {TOKEN_FILE}, or set {TOKEN} ({error})"
        ) from error
    except ServerUnavailable as error:
        if error.details.reason:
            raise  # a server said so itself
        tls = (
            f"unset {CA} if it has no TLS and else compare its CA" if os.environ.get(CA) else f"set {CA} if it has TLS"
        )
        raise Unavailable(
            f"no server answers at {server}: start one with `unbraid serve`, name another with --server, or {tls} "
            f"({error})"
        ) from error


def _check_target(server: str) -> None:
    """Refuse what gRPC would take for a name to be resolved, or complete with a port that nobody means."""
    if re.match("https?://", server):
        raise InvalidInput("--server", f"{server!r} is a URL; write host:port, and set {CA} for TLS")
    if ":" not in server:
        raise InvalidInput("--server", f"{server!r} has no port; write for example {server or '127.0.0.1'}:50051")


def tls_of_environment() -> Tls | None:
    """How connections are to be encrypted; None for plain text.

    Raises:
        InvalidInput: the environment says half of something.
    """
    ca, certificate, key, name = (os.environ.get(variable) or None for variable in (CA, CERTIFICATE, KEY, TLS_NAME))
    if (certificate is None) != (key is None):
        raise InvalidInput(CERTIFICATE, f"a certificate and its key belong together: set {KEY} as well, or neither")
    if ca is None:
        if certificate is not None or name is not None:
            raise InvalidInput(CA, f"is missing: name the file with the CA of the server, or say {SYSTEM_CAS}")
        return None
    return Tls(ca=None if ca == SYSTEM_CAS else ca, certificate=certificate, key=key, server_name=name)


def token_of_environment() -> str | None:
    """Who calls; None for nobody.

    Raises:
        InvalidInput: what there is cannot be a token.
    """
    path = os.environ.get(TOKEN_FILE)
    source = TOKEN_FILE if path else TOKEN
    token = Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(TOKEN, "").strip()
    if not token and not path:
        return None
    # Never the value: what is no token may be another secret.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(source, "holds no token: one is a line of letters and digits without spaces")
    return token
