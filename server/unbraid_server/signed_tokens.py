"""JSON Web Tokens: signed by somebody else, who is known by a public key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import InvalidInput, PermissionDenied, Unauthenticated
from unbraid_server.certificates import PEM_ERRORS
from unbraid_server.followed_files import FollowedFiles, read_setting_file
from unbraid_server.roles import Principal, role_named

__all__ = ["JwtRules", "KeySet", "SignedTokens", "TrustedKey", "read_key_file"]

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

SETTING = "jwt_key"
LEEWAY_S = 30
MAX_SUBJECT_LENGTH = 128
MAX_CHECKED = 1024
LEAST_RSA_BITS = 2048
REQUIRED_CLAIMS = ("exp", "sub", "aud", "iss")
EXPIRED = "the token has expired"
# What a caller may be told about a token whose signature is good, since then it is its own.
CLAIM_ERRORS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: EXPIRED,
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is meant for another audience",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.MissingRequiredClaimError: f"the token lacks a claim; it needs {', '.join(REQUIRED_CLAIMS)}",
}


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token has to say.

    Attributes:
        audience: in its claim ``aud``.
        issuer: in its claim ``iss``.
        role_claim: name of the claim with the role.
    """

    audience: str
    issuer: str
    role_claim: str


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key, and the only algorithms that its signatures are checked with, whatever a token says."""

    key: PublicKey
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Checked:
    """What a token says whose signature and claims were found good, and the keys that they were checked with."""

    principal: Principal
    expire_time_s: float
    keys: KeySet


# By key id; a key from a PEM file has none.
KeySet = Mapping[str | None, TrustedKey]


class SignedTokens:
    """Checks tokens against a key file: one PEM public key, or a JSON Web Key Set.

    To check a signature is a good part of the work of a whole call. So what was found good is kept under the hash of
    the token, until it expires or the key file changes.

    Args:
        path: the file; it is read again when it changes.
        rules: for the claims.
        log: told about changes of the file.
        now: epoch seconds.

    Raises:
        InvalidInput: the file cannot be read, or holds no usable public key.
    """

    def __init__(
        self, path: Path, rules: JwtRules, log: FilteringBoundLogger, now: Callable[[], float] = time.time
    ) -> None:
        self._keys = FollowedFiles("key of signed tokens", [path], lambda: read_key_file(path), log)
        self._rules, self._now = rules, now
        self._checked: dict[bytes, _Checked] = {}

    @property
    def files(self) -> FollowedFiles[KeySet]:
        """The key file."""
        return self._keys

    def principal(self, token: str) -> Principal:
        """Who a token speaks for.

        Raises:
            Unauthenticated: its signature is not by the key, or a claim is wrong.
            PermissionDenied: it gives no role.
        """
        keys, digest = self._keys.current(), sha256(token.encode()).digest()
        checked = self._checked.get(digest)
        if checked is None or checked.keys is not keys:
            checked = self._check(token, keys)
            if len(self._checked) >= MAX_CHECKED:
                self._checked.clear()
            self._checked[digest] = checked
        if self._now() >= checked.expire_time_s + LEEWAY_S:
            raise Unauthenticated(EXPIRED)
        return checked.principal

    def _check(self, token: str, keys: KeySet) -> _Checked:
        claims = self._claims(token, keys)
        subject, role = claims["sub"], role_named(claims.get(self._rules.role_claim))
        if not subject or len(subject) > MAX_SUBJECT_LENGTH:
            raise Unauthenticated(f"the subject of the token is empty, or longer than {MAX_SUBJECT_LENGTH} characters")
        if role is None:
            raise PermissionDenied(f"the claim {self._rules.role_claim} of the token is none of read, write, admin")
        return _Checked(Principal(f"jwt:{subject}", role), float(claims["exp"]), keys)

    def _claims(self, token: str, keys: KeySet) -> dict[str, Any]:
        try:
            trusted = _key_of(token, keys)
            return jwt.decode(
                token,
                trusted.key,
                algorithms=trusted.algorithms,
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=LEEWAY_S,
                options={"require": list(REQUIRED_CLAIMS)},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise Unauthenticated(CLAIM_ERRORS.get(type(error), "the token is not accepted")) from None


def _key_of(token: str, keys: KeySet) -> TrustedKey:
    """The key that a token names, or the only one there is where it names none."""
    key_id = jwt.get_unverified_header(token).get("kid")
    if key_id is None or None in keys:
        [first, *others] = keys.values()
        if others:
            raise jwt.InvalidTokenError("names no key")
        return first
    if key_id not in keys:
        raise jwt.InvalidTokenError("names an unknown key")
    return keys[key_id]


def read_key_file(path: Path) -> KeySet:
    """The keys of a PEM file or a JSON Web Key Set.

    Raises:
        InvalidInput: as ``SignedTokens``.
    """
    content = read_setting_file(SETTING, path)
    if content.lstrip().startswith(b"{"):
        return _read_key_set(path, content)
    try:
        key = serialization.load_pem_public_key(content)
    except PEM_ERRORS as error:
        raise InvalidInput(SETTING, f"{path} is neither a PEM public key nor a JSON Web Key Set: {error}") from None
    return {None: _trusted(path, key)}


def _read_key_set(path: Path, content: bytes) -> KeySet:
    keys: dict[str | None, TrustedKey] = {}
    try:
        for entry in json.loads(content)["keys"]:
            if entry.get("use", "sig") != "sig":
                continue
            key_id = entry.get("kid")
            if key_id in keys:
                raise InvalidInput(SETTING, f"{path} has two keys with the kid {key_id!r}; give each its own")
            keys[key_id] = _trusted(path, jwt.PyJWK(entry).key)
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
        raise InvalidInput(SETTING, f"{path} is no JSON Web Key Set: {error}") from None
    if not keys:
        raise InvalidInput(SETTING, f"{path} has no key for signatures")
    return keys


def _trusted(path: Path, key: object) -> TrustedKey:
    match key:
        case RSAPublicKey() if key.key_size >= LEAST_RSA_BITS:
            return TrustedKey(key, ("RS256", "PS256"))
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return TrustedKey(key, ("ES256",))
        case EllipticCurvePublicKey(curve=SECP384R1()):
            return TrustedKey(key, ("ES384",))
        case Ed25519PublicKey():
            return TrustedKey(key, ("EdDSA",))
    raise InvalidInput(
        SETTING, f"{path}: use public keys of RSA with {LEAST_RSA_BITS} bits or more, EC P-256 or P-384, or Ed25519"
    )
