"""Certificates for the tests of server and client, and a disk that is full."""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key, as PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Files for the certificate and for the key, over what they were."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


class Authority(Protocol):
    """A CA that issues certificates for this machine."""

    certificate: bytes

    def issue(
        self, name: str, *, key: PrivateKey | None = None, starts: timedelta = -DAY, ends: timedelta = DAY
    ) -> Issued: ...


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"Test CA {id(self)}")
        builder = _builder(self._name, self._key, -DAY, DAY).issuer_name(self._name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self._own = builder.add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = self._own.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, name: str, *, key: PrivateKey | None = None, starts: timedelta = -DAY, ends: timedelta = DAY
    ) -> Issued:
        key = key or ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = _builder(_name(name), key, starts, ends).issuer_name(self._name)
        named = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        certificate = named.sign(self._key, hashes.SHA256())
        return Issued(certificate.public_bytes(serialization.Encoding.PEM), private_pem(key))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(name: x509.Name, key: PrivateKey, starts: timedelta, ends: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now + starts).not_valid_after(now + ends)


def private_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    lock = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


@pytest.fixture(scope="session")
def make_authority() -> Callable[[], Authority]:
    """Makes CAs that nobody else knows."""
    return _Authority


@pytest.fixture(scope="session")
def authority(make_authority: Callable[[], Authority]) -> Authority:
    """The CA that tests trust."""
    return make_authority()


FilesLimitedTo = Callable[[int], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def files_limited_to() -> FilesLimitedTo:
    """Meanwhile the kernel refuses to write beyond so many bytes of a file, as a full disk does."""

    @contextmanager
    def limit(size_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
