"""Who is let in, on real sockets: tokens, signed tokens and certificates, and those that are forged, old or doubled."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
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
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from unbraid.v1 import catalogue_pb2, recommendation_pb2, release_pb2, status_pb2
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_server.access_file import RoleName, add_grant, issue_token

if TYPE_CHECKING:
    from tests.unit.conftest import Authority
    from tests.unit.server.conftest import Listening, Refused

TIMEOUT_S = 20.0
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
Metadata = tuple[tuple[str, str | bytes], ...]


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
    status = caller.status(bearer(first)).security
    assert (status.encrypted, status.authenticated) == (False, True)
    assert status.refused_files == ["access file"]


def test_signed_tokens_are_accepted_and_forged_ones_are_not(
    calling: Callable[..., Caller], tmp_path: Path, refused: Refused
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "issuer.pem"
    path.write_bytes(public)
    caller = calling(jwt_key=path, jwt_audience="unbraid", jwt_issuer="https://issuer.example")
    claims = {"sub": "alice", "aud": "unbraid", "iss": "https://issuer.example", "exp": int(time.time()) + 600}
    reader, admin = (jwt.encode({**claims, "unbraid_role": role}, key, "RS256") for role in ("read", "admin"))
    assert caller.status(bearer(reader)).release.release_id
    assert caller.releases(bearer(admin)).release_id
    assert refused(lambda: caller.releases(bearer(reader))).code is DENIED
    _, payload, _ = admin.split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    mac = base64.urlsafe_b64encode(hmac.digest(public, f"{header}.{payload}".encode(), sha256)).rstrip(b"=").decode()
    stranger = jwt.encode({**claims, "unbraid_role": "admin"}, rsa.generate_private_key(65537, 2048), "RS256")
    for forged in (f"{header}.{payload}.{mac}", f"{header}.{payload}.", stranger, admin[:-4]):
        refusal = refused(partial(caller.status, bearer(forged)))
        assert (refusal.code, refusal.message) == (UNAUTHENTICATED, "the token is not accepted")
    assert refused(lambda: caller.status(bearer("unbraid_" + "A" * 43))).code is UNAUTHENTICATED


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
    tls: dict[str, Any] = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": ca}
    # Others could reach it: even so, it answers ReleaseService, since it knows who calls.
    port = listening(host="0.0.0.0", access_file=access_file, **tls)

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
