"""JSON Web Tokens: what is signed well is accepted, and nothing that a token says decides how it is checked."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.errors import InvalidInput, PermissionDenied, Unauthenticated, UnbraidError
from unbraid_server.logs import open_log
from unbraid_server.roles import Principal, Role
from unbraid_server.signed_tokens import JwtRules, SignedTokens

AUDIENCE, ISSUER = "unbraid", "https://issuer.example"
RULES = JwtRules(AUDIENCE, ISSUER, "unbraid_role")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KEYS: Mapping[str, Callable[[], PrivateKey]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
NOT_ACCEPTED = r"^the token is not accepted$"


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changed: object) -> dict[str, Any]:
    now_s = int(time.time())
    usual = {"sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "iat": now_s, "exp": now_s + 600, "unbraid_role": "read"}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "issuer.pem"


@pytest.fixture
def trusting(key_file: Path) -> Callable[..., SignedTokens]:
    """Checks tokens against a key file of this content."""

    def start(content: bytes, now: Callable[[], float] = time.time) -> SignedTokens:
        key_file.write_bytes(content)
        return SignedTokens(key_file, RULES, open_log("error"), now)

    return start


@pytest.fixture(scope="module")
def some_key(tmp_path_factory: pytest.TempPathFactory) -> SignedTokens:
    path = tmp_path_factory.mktemp("issuer") / "issuer.pem"
    path.write_bytes(public_pem(KEYS["EdDSA"]()))
    return SignedTokens(path, RULES, open_log("error"))


@pytest.mark.parametrize("algorithm", KEYS)
def test_keys_of_every_kind(trusting: Callable[..., SignedTokens], algorithm: str) -> None:
    key = KEYS[algorithm]()
    signed = trusting(public_pem(key))
    for role in Role:
        token = jwt.encode(claims(unbraid_role=role.name.lower()), key, algorithm)
        assert signed.principal(token) == Principal("jwt:alice", role)
    with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
        signed.principal(jwt.encode(claims(), KEYS[algorithm](), algorithm))


def test_a_token_cannot_choose_how_it_is_checked(trusting: Callable[..., SignedTokens]) -> None:
    key = KEYS["RS256"]()
    pem = public_pem(key)
    signed = trusting(pem)
    good = jwt.encode(claims(), key, "RS256")
    header, payload, signature = good.split(".")
    symmetric = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{payload}"
    mac = base64.urlsafe_b64encode(hmac.digest(pem, symmetric.encode(), sha256)).rstrip(b"=").decode()
    nested = base64.urlsafe_b64encode(b"[" * 2000).decode()
    forgeries = [
        f"{encoded({'alg': 'none'})}.{payload}.",
        f"{encoded({'alg': 'None'})}.{payload}.{signature}",
        f"{encoded({})}.{payload}.{signature}",
        f"{symmetric}.{mac}",
        f"{header}.{encoded(claims(unbraid_role='admin'))}.{signature}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.",
        f"{header}.{payload[:-4]}.{signature}",
        f"{nested}.{payload}.{signature}",
        f"{good}.{signature}",
        jwt.encode(claims(), KEYS["ES256"](), "ES256"),
        jwt.encode(claims(), key, "RS512"),
        jwt.encode(claims(), key, "RS256", headers={"crit": ["b64"], "b64": False}),
    ]
    for forgery in forgeries:
        with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
            signed.principal(forgery)
    assert signed.principal(good).role is Role.READ


@given(st.text(max_size=60) | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join))
def test_no_text_is_a_token_or_breaks_the_check(some_key: SignedTokens, text: str) -> None:
    with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
        some_key.principal(text)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"exp": 1}, Unauthenticated, "expired"),
        ({"exp": None}, Unauthenticated, "lacks a claim"),
        ({"nbf": 4_000_000_000}, Unauthenticated, "not valid yet"),
        ({"aud": "another"}, Unauthenticated, "another audience"),
        ({"aud": None}, Unauthenticated, "lacks a claim"),
        ({"iss": "https://elsewhere.example"}, Unauthenticated, "another issuer"),
        ({"iss": None}, Unauthenticated, "lacks a claim"),
        ({"sub": None}, Unauthenticated, "lacks a claim"),
        ({"sub": ""}, Unauthenticated, "subject"),
        ({"sub": 7}, Unauthenticated, "not accepted"),
        ({"sub": "a" * 129}, Unauthenticated, "subject"),
        ({"unbraid_role": None}, PermissionDenied, "unbraid_role"),
        ({"unbraid_role": "owner"}, PermissionDenied, "unbraid_role"),
        ({"unbraid_role": ["admin"]}, PermissionDenied, "unbraid_role"),
    ],
)
def test_every_claim_is_checked(
    trusting: Callable[..., SignedTokens], changed: dict[str, object], kind: type[UnbraidError], message: str
) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    # Signed as bytes, since PyJWT refuses to make some of them.
    token = jwt.api_jws.encode(json.dumps(claims(**changed)).encode(), key, "EdDSA", {"typ": "JWT"})
    with pytest.raises(kind, match=message):
        trusting(public_pem(key)).principal(token)


def test_a_token_that_was_good_expires_all_the_same(trusting: Callable[..., SignedTokens]) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    now_s = time.time()
    signed = trusting(public_pem(key), lambda: now_s)
    token = jwt.encode(claims(exp=int(now_s) + 600), key, "EdDSA")
    assert signed.principal(token) == signed.principal(token) == Principal("jwt:alice", Role.READ)
    now_s += 700
    with pytest.raises(Unauthenticated, match="expired"):
        signed.principal(token)


def test_a_key_that_is_replaced_ends_the_tokens_that_it_signed(
    trusting: Callable[..., SignedTokens], key_file: Path
) -> None:
    old, new = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    signed = trusting(public_pem(old))
    token = jwt.encode(claims(), old, "EdDSA")
    assert signed.principal(token).role is Role.READ
    replacement = key_file.with_name("new.pem")
    replacement.write_bytes(public_pem(new))
    replacement.replace(key_file)
    with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
        signed.principal(token)


def key_set(**keys: ec.EllipticCurvePrivateKey) -> bytes:
    entries = [
        {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
        for kid, key in keys.items()
    ]
    return json.dumps({"keys": entries}).encode()


def test_a_key_set_follows_the_keys_of_its_issuer(trusting: Callable[..., SignedTokens], key_file: Path) -> None:
    old, new = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def token(key: ec.EllipticCurvePrivateKey, kid: str | None) -> str:
        return jwt.encode(claims(), key, "ES256", headers={} if kid is None else {"kid": kid})

    signed = trusting(key_set(a=old))
    for good in (token(old, "a"), token(old, None)):
        assert signed.principal(good).role is Role.READ
    with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
        signed.principal(token(new, "b"))
    key_file.write_bytes(key_set(a=old, b=new))
    assert signed.principal(token(new, "b")).role is Role.READ
    for wrong in (token(new, "a"), token(new, None), token(new, "c")):
        with pytest.raises(Unauthenticated, match=NOT_ACCEPTED):
            signed.principal(wrong)
    key_file.write_bytes(b'{"keys": 7}')
    assert signed.principal(token(new, "b")).role is Role.READ
    assert signed.files.is_refused()


ONE_KEY = json.loads(key_set(a=ec.generate_private_key(ec.SECP256R1())))["keys"][0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "neither a PEM public key nor a JSON Web Key Set"),
        (b"{", "is no JSON Web Key Set"),
        (b'{"keys": []}', "has no key for signatures"),
        (json.dumps({"keys": [{**ONE_KEY, "use": "enc"}]}).encode(), "has no key for signatures"),
        (json.dumps({"keys": [ONE_KEY, ONE_KEY]}).encode(), "two keys with the kid 'a'"),
        (b'{"keys": [{"kty": "oct", "k": "c3dvcmRmaXNo"}]}', "use public keys of RSA"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "2048 bits or more"),
        (public_pem(ec.generate_private_key(ec.SECP521R1())), "P-256"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_said(
    trusting: Callable[..., SignedTokens], key_file: Path, content: bytes, problem: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        trusting(content)
    assert caught.value.message.startswith(f"jwt_key: {key_file}")
    assert problem in caught.value.message
    assert "c3dvcmRmaXNo" not in caught.value.message
