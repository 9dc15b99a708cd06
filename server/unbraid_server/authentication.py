"""Who calls: by a bearer token, by a signed token, or by a client certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import Unauthenticated
from unbraid_server.access_file import AccessList, read_access_file
from unbraid_server.followed_files import FollowedFiles
from unbraid_server.roles import Principal, Role
from unbraid_server.settings import ServerSettings
from unbraid_server.signed_tokens import JwtRules, SignedTokens

__all__ = ["Authentication"]

HEADER = "authorization"
# gRPC lets headers of 8 KiB pass; a signed token has some hundred bytes.
MAX_TOKEN_LENGTH = 4096
SIGNED_TOKEN_DOTS = 2


@dataclass(frozen=True, slots=True)
class Authentication:
    """Finds out who calls.

    Args:
        access: tokens and certificates; None where there is no access file.
        signed: checks signed tokens; None where no key is set.
        now: epoch seconds.
    """

    access: FollowedFiles[AccessList] | None
    signed: SignedTokens | None
    now: Callable[[], float]

    @classmethod
    def of(cls, settings: ServerSettings, log: FilteringBoundLogger, now: Callable[[], float]) -> Authentication | None:
        """What the settings ask for; None where they ask for none.

        Raises:
            InvalidInput: a file that they name cannot be used.
        """
        if not settings.is_authenticated:
            return None
        path, key = settings.access_file, settings.jwt_key
        access = None if path is None else FollowedFiles("access file", [path], lambda: read_access_file(path), log)
        signed = None
        if key is not None:
            assert settings.jwt_audience
            assert settings.jwt_issuer
            rules = JwtRules(settings.jwt_audience, settings.jwt_issuer, settings.jwt_role_claim)
            signed = SignedTokens(key, rules, log, now)
        return cls(access, signed, now)

    @property
    def files(self) -> list[FollowedFiles[Any]]:
        """What it follows."""
        found = [self.access, None if self.signed is None else self.signed.files]
        return [files for files in found if files is not None]

    def identify(self, context: grpc.ServicerContext) -> Principal:
        """Who calls; where there is a token, it alone decides.

        Raises:
            Unauthenticated: nothing proves it.
            PermissionDenied: a signed token gives no role.
        """
        headers = [str(value) for key, value in context.invocation_metadata() if key == HEADER]
        if len(headers) > 1:
            raise Unauthenticated(f"{len(headers)} headers {HEADER}; send one")
        if headers:
            return self._of_header(headers[0])
        return self._of_certificate(context)

    def _of_header(self, header: str) -> Principal:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(f"the header {HEADER} is no bearer token; send: Bearer TOKEN")
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("the token is not accepted")
        if self.signed is not None and token.count(".") == SIGNED_TOKEN_DOTS:
            return self.signed.principal(token)
        grant = None if self.access is None else self.access.current().of_token(token)
        if grant is None:
            raise Unauthenticated("the token is not accepted")
        if grant.expires is not None and grant.expires <= datetime.fromtimestamp(self.now(), UTC):
            raise Unauthenticated("the token has expired")
        return Principal(f"token:{grant.name}", Role[grant.role.upper()])

    def _of_certificate(self, context: grpc.ServicerContext) -> Principal:
        identities = [identity.decode(errors="replace") for identity in context.peer_identities() or ()]
        grant = None if self.access is None else self.access.current().of_certificate(identities)
        if grant is None:
            raise Unauthenticated(f"no proof of who calls; send a token in the header {HEADER}, as: Bearer TOKEN")
        return Principal(f"certificate:{grant.identity}", Role[grant.role.upper()])
