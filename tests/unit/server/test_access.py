"""Who is let in, on real sockets: tokens, signed tokens and certificates, and those that are forged, old or doubled."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from unbraid.v1 import catalogue_pb2, recommendation_pb2, release_pb2, status_pb2
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.errors import InvalidInput
from unbraid_server.access_file import RoleName, add_grant, issue_token

if TYPE_CHECKING:
    from tests.unit.conftest import Authority
    from tests.unit.server.conftest import Listening, Refused

TIMEOUT_S = 20.0
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
AUDIENCE, ISSUER = "unbraid", "https://issuer.example"
Metadata = tuple[tuple[str, str | bytes], ...]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


@dataclass(frozen=True)
class Caller:
    """Calls a server with the metadata of each call."""

    channel: grpc.Channel

    def status(self, metadata: Metadata = ()) -> status_pb2.GetStatusResponse:
        request = status_pb2.GetStatusRequest()
        return StatusServiceStub(self.channel).GetStatus(request, metadata=metadata, timeout=TIMEOUT_S)

    def delete(self, metadata: Metadata = ()) -> catalogue_pb2.DeleteItemsResponse:
        request = catalogue_pb2.DeleteItemsRequest(item_ids=["never-there"])
        return CatalogServiceStub(self.channel).DeleteItems(request, metadata=metadata, timeout=TIMEOUT_S)

    def releases(self, metadata: Metadata = ()) -> release_pb2.ListReleasesResponse:
        request = release_pb2.ListReleasesRequest()
        return ReleaseServiceStub(self.channel).ListReleases(request, metadata=metadata, timeout=TIMEOUT_S)

    def rebuild(self, metadata: Metadata = ()) -> list[release_pb2.RebuildIndexResponse]:
        request = release_pb2.RebuildIndexRequest(release_id="never-there")
        return list(ReleaseServiceStub(self.channel).RebuildIndex(request, metadata=metadata, timeout=TIMEOUT_S))

    def reflect(self, metadata: Metadata = ()) -> int:
        ask = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        [answer] = ask(iter([ServerReflectionRequest(list_services="")]), metadata=metadata, timeout=TIMEOUT_S)
        return len(answer.list_services_response.service)


@pytest.fixture
def calling(listening: Listening) -> Iterator[Callable[..., Caller]]:
    """Callers of servers with settings of their own, without TLS."""
    with ExitStack() as opened:

        def start(**settings: Any) -> Caller:
            return Caller(opened.enter_context(grpc.insecure_channel(f"127.0.0.1:{listening(**settings)}")))

        yield start


@pytest.fixture
def access_file(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


@pytest.fixture
def grant(access_file: Path) -> Callable[..., str]:
    """Puts a token into the access file, and returns it."""

    def add(role: RoleName, expires: datetime | None = None) -> str:
        token, entry = issue_token(f"the-{role}", role, expires)
        add_grant(access_file, entry)
        return token

    return add


def test_each_role_may_what_the_one_before_may_and_no_more(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    reader, writer, admin = grant("read"), grant("write"), grant("admin")
    caller = calling(access_file=access_file)
    for token in (reader, writer, admin):
        assert caller.status(bearer(token)).release.release_id
        assert caller.reflect(bearer(token)) > 0
    for token in (writer, admin):
        assert caller.delete(bearer(token)).release_id
    assert caller.releases(bearer(admin)).release_id
    for token, call, needed in (
        (reader, caller.delete, "write"),
        (reader, caller.releases, "admin"),
        (writer, caller.releases, "admin"),
        (writer, caller.rebuild, "admin"),
    ):
        refusal = refused(partial(call, bearer(token)))
        assert (refusal.code, refusal.info.reason, refusal.info.domain) == (DENIED, "PERMISSION_DENIED", "unbraid")
        assert f"needs the role {needed}" in refusal.message
        assert refusal.info.metadata["request_id"]


def test_nobody_in_particular_may_ask_for_health_and_nothing_else(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    grant("admin")
    caller = calling(access_file=access_file)
    check = caller.channel.unary_unary(
        "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    assert check(HealthCheckRequest()).status == HealthCheckResponse.SERVING
    for call in (caller.status, caller.delete, caller.releases, caller.rebuild, caller.reflect):
        refusal = refused(call)
        assert (refusal.code, refusal.info.reason) == (UNAUTHENTICATED, "UNAUTHENTICATED")


NO_TOKENS: list[Metadata] = [
    (("authorization", ""),),
    (("authorization", "Bearer"),),
    (("authorization", "Bearer "),),
    (("authorization", "Bearer  "),),
    (("authorization", "Basic dXNlcjpwYXNz"),),
    (("authorization", "Bearer unbraid_" + "A" * 43),),
    (("authorization", "Bearer " + "A" * 5000),),
    (("authorization", "Bearer a.b.c"),),
    (("authorization-bin", b"Bearer x"),),
]


def test_what_is_no_token_is_refused(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    grant("admin")
    caller = calling(access_file=access_file)
    assert {refused(partial(caller.status, sent)).code for sent in NO_TOKENS} == {UNAUTHENTICATED}


def test_a_token_counts_whole_and_once(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    token = grant("admin")
    caller = calling(access_file=access_file)
    assert caller.status((("authorization", f"bearer {token}"),)).release.release_id
    for wrong in (token[:-1], token + "A", token.upper(), token.removeprefix("unbraid_")):
        assert refused(partial(caller.status, bearer(wrong))).code is UNAUTHENTICATED
    twice = refused(lambda: caller.status(bearer(token) + bearer(token)))
    assert twice.code is UNAUTHENTICATED
    assert "send one" in twice.message


def test_headers_beyond_the_limit_of_grpc_do_no_harm(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    token = grant("read")
    caller = calling(access_file=access_file)
    assert refused(lambda: caller.status(bearer("A" * 100_000))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caller.status(bearer(token)).release.release_id


def test_a_token_expires(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    now = datetime.now(UTC)
    good, old = grant("read", now + timedelta(hours=1)), grant("write", now - timedelta(seconds=1))
    caller = calling(access_file=access_file)
    assert caller.status(bearer(good)).release.release_id
    assert "expired" in refused(lambda: caller.status(bearer(old))).message


def test_tokens_come_and_go_while_the_server_runs(
    calling: Callable[..., Caller],
    access_file: Path,
    grant: Callable[..., str],
    refused: Refused,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = grant("read")
    before = access_file.read_bytes()
    caller = calling(access_file=access_file)
    second = grant("write")
    assert caller.status(bearer(second)).release.release_id
    access_file.write_bytes(before)
    assert refused(lambda: caller.status(bearer(second))).code is UNAUTHENTICATED
    access_file.write_text("[[token]")
    assert caller.status(bearer(first)).release.release_id
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "access file refused"


KEYS: Mapping[str, Callable[[], PrivateKey]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changed: object) -> dict[str, Any]:
    now_s = int(time.time())
    usual = {"sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "iat": now_s, "exp": now_s + 600, "unbraid_role": "read"}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


@pytest.fixture(params=KEYS)
def signer(request: pytest.FixtureRequest) -> tuple[str, PrivateKey]:
    algorithm: str = request.param
    return algorithm, KEYS[algorithm]()


def jwt_settings(tmp_path: Path, key_file: bytes) -> dict[str, Any]:
    path = tmp_path / "issuer.pem"
    path.write_bytes(key_file)
    return {"jwt_key": path, "jwt_audience": AUDIENCE, "jwt_issuer": ISSUER}


def test_signed_tokens_of_every_kind_of_key_are_accepted(
    calling: Callable[..., Caller], tmp_path: Path, signer: tuple[str, PrivateKey], refused: Refused
) -> None:
    algorithm, key = signer
    caller = calling(**jwt_settings(tmp_path, public_pem(key)))
    reader, admin = (jwt.encode(claims(unbraid_role=role), key, algorithm) for role in ("read", "admin"))
    assert caller.status(bearer(reader)).release.release_id
    assert caller.releases(bearer(admin)).release_id
    assert refused(lambda: caller.releases(bearer(reader))).code is DENIED
    forged = jwt.encode(claims(), KEYS[algorithm](), algorithm)
    assert refused(lambda: caller.status(bearer(forged))).message == "the token is not accepted"


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_token_cannot_choose_how_it_is_checked(
    calling: Callable[..., Caller], tmp_path: Path, refused: Refused
) -> None:
    key = KEYS["RS256"]()
    assert isinstance(key, rsa.RSAPrivateKey)
    pem = public_pem(key)
    caller = calling(**jwt_settings(tmp_path, pem))
    good = jwt.encode(claims(), key, "RS256")
    header, payload, signature = good.split(".")
    symmetric = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{payload}"
    mac = base64.urlsafe_b64encode(hmac.digest(pem, symmetric.encode(), sha256)).rstrip(b"=").decode()
    nested = base64.urlsafe_b64encode(b"[" * 2000).decode()
    forgeries = [
        f"{encoded({'alg': 'none'})}.{payload}.",
        f"{encoded({'alg': 'None'})}.{payload}.{signature}",
        f"{symmetric}.{mac}",
        f"{header}.{encoded(claims(unbraid_role='admin'))}.{signature}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.",
        f"{header}.{payload[:-4]}.{signature}",
        f"{nested}.{payload}.{signature}",
        jwt.encode(claims(), KEYS["ES256"](), "ES256"),
        jwt.encode(claims(), key, "RS512"),
        jwt.encode(claims(), key, "RS256", headers={"crit": ["b64"], "b64": False}),
    ]
    for forgery in forgeries:
        refusal = refused(partial(caller.status, bearer(forgery)))
        assert (refusal.code, refusal.message) == (UNAUTHENTICATED, "the token is not accepted")
    assert caller.status(bearer(good)).release.release_id


WRONG_CLAIMS: list[tuple[dict[str, object], grpc.StatusCode, str]] = [
    ({"exp": 1}, UNAUTHENTICATED, "expired"),
    ({"exp": None}, UNAUTHENTICATED, "lacks a claim"),
    ({"nbf": 4_000_000_000}, UNAUTHENTICATED, "not valid yet"),
    ({"aud": "another"}, UNAUTHENTICATED, "another audience"),
    ({"aud": None}, UNAUTHENTICATED, "lacks a claim"),
    ({"iss": "https://elsewhere.example"}, UNAUTHENTICATED, "another issuer"),
    ({"iss": None}, UNAUTHENTICATED, "lacks a claim"),
    ({"sub": None}, UNAUTHENTICATED, "lacks a claim"),
    ({"sub": ""}, UNAUTHENTICATED, "subject"),
    ({"sub": 7}, UNAUTHENTICATED, "not accepted"),
    ({"sub": "a" * 129}, UNAUTHENTICATED, "subject"),
    ({"unbraid_role": None}, DENIED, "unbraid_role"),
    ({"unbraid_role": "owner"}, DENIED, "unbraid_role"),
    ({"unbraid_role": ["admin"]}, DENIED, "unbraid_role"),
]


def test_every_claim_is_checked(calling: Callable[..., Caller], tmp_path: Path, refused: Refused) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    caller = calling(**jwt_settings(tmp_path, public_pem(key)))
    for changed, code, message in WRONG_CLAIMS:
        # Signed as bytes, since PyJWT refuses to make some of them.
        token = jwt.api_jws.encode(json.dumps(claims(**changed)).encode(), key, "EdDSA", {"typ": "JWT"})
        refusal = refused(partial(caller.status, bearer(token)))
        assert (changed, refusal.code) == (changed, code)
        assert message in refusal.message


def test_a_key_set_follows_the_keys_of_its_issuer(
    calling: Callable[..., Caller], tmp_path: Path, refused: Refused
) -> None:
    old, new = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def key_set(**keys: ec.EllipticCurvePrivateKey) -> bytes:
        entries = [
            {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in keys.items()
        ]
        return json.dumps({"keys": entries}).encode()

    def signed(key: ec.EllipticCurvePrivateKey, kid: str | None) -> Metadata:
        return bearer(jwt.encode(claims(), key, "ES256", headers={} if kid is None else {"kid": kid}))

    settings = jwt_settings(tmp_path, key_set(a=old))
    caller = calling(**settings)
    assert caller.status(signed(old, "a")).release.release_id
    assert caller.status(signed(old, None)).release.release_id
    assert refused(lambda: caller.status(signed(new, "b"))).code is UNAUTHENTICATED
    (tmp_path / "issuer.pem").write_bytes(key_set(a=old, b=new))
    assert caller.status(signed(new, "b")).release.release_id
    for wrong in (signed(new, "a"), signed(new, None), signed(new, "c")):
        assert refused(partial(caller.status, wrong)).code is UNAUTHENTICATED
    (tmp_path / "issuer.pem").write_bytes(b'{"keys": 7}')
    assert caller.status(signed(new, "b")).release.release_id


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "neither a PEM public key nor a JSON Web Key Set"),
        (b"{", "is no JSON Web Key Set"),
        (b'{"keys": []}', "has no key for signatures"),
        (b'{"keys": [{"kty": "oct", "k": "c3dvcmRmaXNo"}]}', "use public keys of RSA"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "2048 bits or more"),
        (public_pem(ec.generate_private_key(ec.SECP521R1())), "P-256"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_said(
    listening: Listening, tmp_path: Path, content: bytes, problem: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        listening(**jwt_settings(tmp_path, content))
    assert problem in caught.value.message
    assert "swordfish" not in caught.value.message


def test_a_client_certificate_has_the_role_of_its_name_unless_there_is_a_token(
    listening: Listening,
    authority: Authority,
    access_file: Path,
    grant: Callable[..., str],
    tmp_path: Path,
    refused: Refused,
) -> None:
    token = grant("admin")
    access_file.write_text(access_file.read_text() + "[[certificate]]\nidentity = 'reader'\nrole = 'read'\n")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate)
    certificate, key = authority.issue("unbraid").write(tmp_path, "server")
    port = listening(tls_certificate=certificate, tls_key=key, tls_client_ca=ca, access_file=access_file)

    def caller(name: str) -> Caller:
        client = authority.issue(name)
        credentials = grpc.ssl_channel_credentials(authority.certificate, client.key, client.certificate)
        return Caller(grpc.secure_channel(f"localhost:{port}", credentials))

    reader, stranger = caller("reader"), caller("stranger")
    assert reader.status().release.release_id
    assert refused(reader.releases).code is DENIED
    assert reader.releases(bearer(token)).release_id
    assert refused(lambda: reader.status(bearer("wrong"))).code is UNAUTHENTICATED
    assert refused(stranger.status).code is UNAUTHENTICATED
    assert stranger.status(bearer(token)).release.release_id


def test_callers_of_streams_and_calls_at_once_keep_apart(
    calling: Callable[..., Caller], access_file: Path, grant: Callable[..., str], refused: Refused
) -> None:
    admin, reader = grant("admin"), grant("read")
    caller = calling(access_file=access_file)
    unknown = [ReleaseServiceStub(caller.channel).RebuildIndex] * 2
    request = release_pb2.RebuildIndexRequest(release_id="never-there")
    streams = [stub(request, metadata=bearer(token)) for stub, token in zip(unknown, (admin, reader), strict=True)]
    assert refused(lambda: list(streams[1])).code is DENIED
    assert refused(lambda: list(streams[0])).code is not DENIED


def test_without_an_access_file_a_loopback_server_asks_nobody(calling: Callable[..., Caller]) -> None:
    caller = calling()
    assert caller.status(bearer("whatever")).release.release_id
    stub = RecommendationServiceStub(caller.channel)
    assert stub.Recommend(recommendation_pb2.RecommendRequest(history=recommendation_pb2.History())).release_id
