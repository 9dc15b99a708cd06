"""TLS on real sockets: certificates that are renewed, ones that cannot be used, and clients that must show one."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from unbraid.v1.status_pb2 import GetStatusRequest, SecurityStatus
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.errors import InvalidInput

if TYPE_CHECKING:
    from tests.unit.conftest import Authority, Issued
    from tests.unit.server.conftest import Listening

TIMEOUT_S = 20.0
# Each channel with connections of its own, and none that it makes anew in silence.
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


def trusting(port: int, ca: bytes | None, client: Issued | None = None) -> grpc.Channel:
    pair = (None, None) if client is None else (client.key, client.certificate)
    return grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(ca, *pair), OWN_CONNECTION)


def answers(channel: grpc.Channel) -> bool:
    code = StatusServiceStub(channel).GetStatus.future(GetStatusRequest(), timeout=TIMEOUT_S).code()
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    return code is grpc.StatusCode.OK


def answers_anew(port: int, ca: bytes | None, client: Issued | None = None) -> bool:
    """Whether a connection that begins now leads to an answer."""
    with closing(trusting(port, ca, client)) as channel:
        return answers(channel)


def security(port: int, ca: bytes) -> SecurityStatus:
    with closing(trusting(port, ca)) as channel:
        return StatusServiceStub(channel).GetStatus(GetStatusRequest(), timeout=TIMEOUT_S).security


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> dict[str, Any]:
    """Settings with a certificate of the CA that tests trust."""
    certificate, key = authority.issue("unbraid").write(tmp_path, "server")
    return {"tls_certificate": certificate, "tls_key": key}


def test_only_clients_that_trust_the_ca_and_speak_tls_are_answered(
    listening: Listening, authority: Authority, make_authority: Callable[[], Authority], pair: dict[str, Any]
) -> None:
    port = listening(**pair)
    assert answers_anew(port, authority.certificate)
    assert not answers_anew(port, make_authority().certificate)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        assert not answers(plain)


def test_a_renewed_certificate_serves_new_connections_while_old_ones_go_on(
    listening: Listening,
    authority: Authority,
    make_authority: Callable[[], Authority],
    pair: dict[str, Any],
    tmp_path: Path,
) -> None:
    port = listening(**pair)
    successor = make_authority()
    with closing(trusting(port, authority.certificate)) as old:
        assert answers(old)
        successor.issue("unbraid").write(tmp_path, "server")
        assert answers_anew(port, successor.certificate)
        assert not answers_anew(port, authority.certificate)
        assert answers(old)


def test_half_of_a_new_pair_changes_nothing_until_the_other_half_is_there(
    listening: Listening,
    authority: Authority,
    make_authority: Callable[[], Authority],
    pair: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = listening(level="info", **pair)
    successor = make_authority()
    renewed = successor.issue("unbraid")
    pair["tls_key"].write_bytes(renewed.key)
    assert answers_anew(port, authority.certificate)
    pair["tls_certificate"].write_bytes(renewed.certificate)
    assert answers_anew(port, successor.certificate)
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in logged] == [
        "certificate",
        "certificate refused",
        "certificate taken over",
        "certificate",
    ]
    assert "is not the key of the certificate" in logged[1]["error"]
    assert logged[0]["subject"] == "CN=unbraid"
    assert logged[0]["expires"] != ""


def truncated(certificate: Path, _: Authority) -> None:
    certificate.write_bytes(certificate.read_bytes()[:200])


def removed(certificate: Path, _: Authority) -> None:
    certificate.unlink()


def expired(certificate: Path, authority: Authority) -> None:
    key = load_pem_private_key(certificate.with_suffix(".key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate.write_bytes(authority.issue("unbraid", key=key, ends=timedelta(hours=-1)).certificate)


@pytest.mark.parametrize("spoil", [truncated, removed, expired])
def test_what_cannot_be_used_leaves_the_last_good_certificate_in_place(
    listening: Listening,
    authority: Authority,
    pair: dict[str, Any],
    spoil: Callable[[Path, Authority], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = listening(**pair)
    before = security(port, authority.certificate)
    assert before.encrypted
    assert not before.refused_files
    spoil(pair["tls_certificate"], authority)
    assert answers_anew(port, authority.certificate)
    assert answers_anew(port, authority.certificate)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "certificate refused"
    after = security(port, authority.certificate)
    assert after.refused_files == ["certificate"]
    assert after.certificate_expire_time == before.certificate_expire_time


def test_with_a_client_ca_only_its_certificates_come_in(
    listening: Listening,
    authority: Authority,
    make_authority: Callable[[], Authority],
    pair: dict[str, Any],
    tmp_path: Path,
) -> None:
    clients, strangers = make_authority(), make_authority()
    ca = tmp_path / "clients.pem"
    ca.write_bytes(clients.certificate)
    port = listening(**pair, tls_client_ca=ca)
    assert answers_anew(port, authority.certificate, clients.issue("reader"))
    assert not answers_anew(port, authority.certificate)
    assert not answers_anew(port, authority.certificate, strangers.issue("reader"))
    assert not answers_anew(port, authority.certificate, clients.issue("reader", ends=timedelta(hours=-1)))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_that_cannot_be_used_are_named_with_the_reason(
    listening: Listening, authority: Authority, pair: dict[str, Any], tmp_path: Path
) -> None:
    def refusal(**changed: Path) -> str:
        with pytest.raises(InvalidInput) as caught:
            listening(**(pair | changed))
        assert "\n" not in caught.value.message
        return caught.value.message

    def issued(name: str, **how: Any) -> dict[str, Any]:
        certificate, key = authority.issue("unbraid", **how).write(tmp_path, name)
        return {"tls_certificate": certificate, "tls_key": key}

    other, old = issued("other"), issued("old", ends=timedelta(hours=-1))
    early, modern = issued("early", starts=timedelta(hours=1)), issued("ed", key=ed25519.Ed25519PrivateKey.generate())
    key = load_pem_private_key(pair["tls_key"].read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"swordfish"))
    missing, text = tmp_path / "missing.pem", write(tmp_path / "text.pem", b"nothing of the kind")

    assert f"tls_certificate: {missing}: No such file" in refusal(tls_certificate=missing)
    assert f"tls_certificate: {text} holds no PEM certificate" in refusal(tls_certificate=text)
    assert f"tls_key: {text} holds no PEM private key" in refusal(tls_key=text)
    assert "without a password" in refusal(tls_key=write(tmp_path / "locked.key", locked))
    assert f"tls_key: {other['tls_key']} is not the key of" in refusal(tls_key=other["tls_key"])
    assert f"{old['tls_certificate']} expired at " in refusal(**old)
    assert f"{early['tls_certificate']} is valid from " in refusal(**early)
    assert "neither an RSA nor an EC key" in refusal(**modern)
    assert f"tls_client_ca: {text} holds no PEM certificate" in refusal(tls_client_ca=text)
