"""The certificate of the server: read from PEM files, checked, and read again when it is renewed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import InvalidInput
from unbraid_server.followed_files import FollowedFiles, read_setting_file

__all__ = ["Certificates", "CheckedCertificate", "TlsFiles", "check_certificate"]

# What cryptography raises for a file that is not PEM, is cut off, of an unknown kind, or behind a password.
PEM_ERRORS = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files are.

    Attributes:
        certificate: the certificate of the server, then those that lead from it to its CA.
        key: its private key, RSA or EC, without a password.
        client_ca: CAs one of which every client must have a certificate of; None lets clients come without.
    """

    certificate: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True, slots=True)
class CheckedCertificate:
    """A certificate that fits its key and is valid now.

    Attributes:
        configuration: for gRPC.
        subject: whose it is.
        expire_time: until when it is valid.
    """

    configuration: grpc.ServerCertificateConfiguration
    subject: str
    expire_time: datetime


class Certificates:
    """What the server proves who it is with, to every connection that begins.

    Files that change are taken over for the next connection; connections that are open go on. A pair that is half
    written, does not fit or has expired is refused and logged, and the last good one stays.

    Args:
        files: PEM.
        log: names the certificate at start and at every change.
        now: epoch seconds.

    Raises:
        InvalidInput: a file cannot be read or holds something else, the key belongs to another certificate, or the
            certificate is not valid now.
    """

    def __init__(self, files: TlsFiles, log: FilteringBoundLogger, now: Callable[[], float]) -> None:
        self._log = log
        self._demands_client = files.client_ca is not None
        paths = [path for path in (files.certificate, files.key, files.client_ca) if path is not None]
        self._files = FollowedFiles("certificate", paths, lambda: check_certificate(files, now()), log)
        self._in_use = self._files.current()
        self._say()

    @property
    def files(self) -> FollowedFiles[CheckedCertificate]:
        """What the files say."""
        return self._files

    def credentials(self) -> grpc.ServerCredentials:
        """For a port; they follow the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._in_use.configuration,
            self._renewed,  # type: ignore[arg-type]  # the stubs do not know that None stands for no change
            require_client_authentication=self._demands_client,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked at the beginning of every connection; None stands for no change."""
        current = self._files.current()
        if current is self._in_use:
            return None
        self._in_use = current
        self._say()
        return current.configuration

    def _say(self) -> None:
        self._log.info(
            "certificate", subject=self._in_use.subject, expires=self._in_use.expire_time.isoformat(timespec="seconds")
        )


def check_certificate(files: TlsFiles, now_s: float) -> CheckedCertificate:
    """What the files hold, if it can be used.

    Raises:
        InvalidInput: as ``Certificates``.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    chain_pem = read_setting_file("tls_certificate", files.certificate)
    certificate = _certificates("tls_certificate", files.certificate, chain_pem)[0]
    key_pem = read_setting_file("tls_key", files.key)
    if _public_bytes(_private_key(files.key, key_pem)) != _public_bytes(certificate):
        raise InvalidInput("tls_key", f"{files.key} is not the key of the certificate in {files.certificate}")
    if now >= certificate.not_valid_after_utc:
        raise InvalidInput(
            "tls_certificate", f"{files.certificate} expired at {certificate.not_valid_after_utc.isoformat()}; renew it"
        )
    if now < certificate.not_valid_before_utc:
        raise InvalidInput(
            "tls_certificate",
            f"{files.certificate} is valid from {certificate.not_valid_before_utc.isoformat()} on; see to the clock",
        )
    client_ca_pem = None
    if files.client_ca is not None:
        client_ca_pem = read_setting_file("tls_client_ca", files.client_ca)
        _certificates("tls_client_ca", files.client_ca, client_ca_pem)
    return CheckedCertificate(
        grpc.ssl_server_certificate_configuration([(key_pem, chain_pem)], client_ca_pem),
        certificate.subject.rfc4514_string(),
        certificate.not_valid_after_utc,
    )


def _certificates(setting: str, path: Path, pem: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except PEM_ERRORS as error:
        raise InvalidInput(setting, f"{path} holds no PEM certificate: {error}") from None


def _private_key(path: Path, pem: bytes) -> EllipticCurvePrivateKey | RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except PEM_ERRORS as error:
        raise InvalidInput("tls_key", f"{path} holds no PEM private key without a password: {error}") from None
    if not isinstance(key, (EllipticCurvePrivateKey, RSAPrivateKey)):
        raise InvalidInput("tls_key", f"{path} is neither an RSA nor an EC key; gRPC can use no other kind for TLS")
    return key


def _public_bytes(holder: EllipticCurvePrivateKey | RSAPrivateKey | x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return holder.public_key().public_bytes(serialization.Encoding.DER, form)
