"""The access file: hashes of bearer tokens, and client certificates, each with a role.

A token is 256 random bits, so its SHA-256 can be neither guessed nor looked up: none is likelier than another, which is
what the slow, salted hashes of passwords are there for. And a fast hash keeps a call fast.
"""

from __future__ import annotations

import hmac
import os
import secrets
import tomllib
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_server.followed_files import read_setting_file

__all__ = [
    "AccessList",
    "CertificateGrant",
    "RoleName",
    "TokenGrant",
    "add_grant",
    "grant_text",
    "issue_token",
    "read_access_file",
]

SETTING = "access_file"
TOKEN_BYTES = 32
# Tools that look for secrets in repositories and logs find tokens by this.
TOKEN_PREFIX = "unbraid_"  # noqa: S105 - every token begins with it, none is it
OWNER_ONLY = 0o600

RoleName = Literal["read", "write", "admin"]


class TokenGrant(BaseModel):
    """A bearer token that is accepted.

    Attributes:
        name: whose it is, for logs.
        role: what it allows.
        sha256: of the token, in hexadecimal.
        expires: when it is accepted no longer; None for never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    role: RoleName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    expires: AwareDatetime | None = None


class CertificateGrant(BaseModel):
    """A client certificate that is accepted where a call brings no token.

    Attributes:
        identity: one of its subject alternative names, or the common name of its subject where it has none.
        role: what it allows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: Annotated[str, Field(min_length=1, max_length=255)]
    role: RoleName


class AccessList(BaseModel):
    """Who may call; the content of an access file.

    Attributes:
        token: the tokens.
        certificate: the client certificates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: tuple[TokenGrant, ...] = ()
    certificate: tuple[CertificateGrant, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        _refuse_twins("name", (grant.name for grant in self.token))
        _refuse_twins("sha256", (grant.sha256 for grant in self.token))
        _refuse_twins("identity", (grant.identity for grant in self.certificate))
        return self

    def of_token(self, token: str) -> TokenGrant | None:
        """The grant of a token, after the same work whichever it is, and whether or not there is one."""
        digest = sha256(token.encode()).hexdigest()
        matching = [grant for grant in self.token if hmac.compare_digest(grant.sha256, digest)]
        return matching[0] if matching else None

    def of_certificate(self, identities: Iterable[str]) -> CertificateGrant | None:
        """The first grant for one of the identities of a certificate that was verified."""
        presented = set(identities)
        return next((grant for grant in self.certificate if grant.identity in presented), None)


def read_access_file(path: Path) -> AccessList:
    """Who may call.

    Raises:
        InvalidInput: the file cannot be read, or says something else.
    """
    try:
        return AccessList.model_validate(tomllib.loads(read_setting_file(SETTING, path).decode()))
    except ValidationError as error:
        # Never the value: it may be a token that was pasted in place of its hash.
        first = error.errors(include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(SETTING, f"{path}: {place or 'entries'}: {first['msg']}") from None
    except ValueError as error:
        raise InvalidInput(SETTING, f"{path} is not TOML: {error}") from None


def issue_token(name: str, role: RoleName, expires: datetime | None) -> tuple[str, TokenGrant]:
    """A new token, which nobody can find out later, and the grant that goes into the access file.

    Raises:
        InvalidInput: the name has other characters than letters, digits and ``._@-``, or more than 64.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    try:
        grant = TokenGrant(name=name, role=role, sha256=sha256(token.encode()).hexdigest(), expires=expires)
    except ValidationError:
        raise InvalidInput("name", f"{name!r}: use up to 64 letters, digits and ._@-") from None
    return token, grant


def grant_text(grant: TokenGrant) -> str:
    """A grant as the access file has it."""
    lines = ["[[token]]", f'name = "{grant.name}"', f'role = "{grant.role}"', f'sha256 = "{grant.sha256}"']
    if grant.expires is not None:
        lines.append(f"expires = {grant.expires.isoformat(timespec='seconds')}")
    return "\n".join(lines) + "\n"


def add_grant(path: Path, grant: TokenGrant) -> None:
    """Add a token to an access file, which only its owner may read where it is new; a server never sees half of it.

    Raises:
        Conflict: the file has a token of that name.
        InvalidInput: it cannot be read, or says something else.
    """
    text = ""
    if path.exists():
        if any(each.name == grant.name for each in read_access_file(path).token):
            raise Conflict(f"{path} has a token of the name {grant.name}; remove it first, or use another name")
        text = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.touch(OWNER_ONLY, exist_ok=False)
    try:
        if path.exists():
            staged.chmod(path.stat().st_mode)
        staged.write_text(text + grant_text(grant), encoding="utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _refuse_twins(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"two entries have the same {what}")
        seen.add(value)
