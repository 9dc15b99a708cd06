"""Signatures of releases: ed25519 over the bytes of the manifest, which has the sha256 of every file.

Keys are PEM files as other tools read and write them: PKCS #8, and SubjectPublicKeyInfo. A signature is one line of
base64.
"""

from __future__ import annotations

import binascii
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_core.release import ReleaseStore, SignatureCheck
from unbraid_core.release.layout import RELEASE_MANIFEST, SIGNATURE
from unbraid_core.release.staging import add_file
from unbraid_server.settings import ServerSettings

__all__ = ["sign_release", "signature_check", "trusted_releases", "write_key_pair"]

OWNER_ONLY, READABLE = 0o600, 0o644
# A file that holds no key, one of another kind, or one behind a password.
KEY_ERRORS = (ValueError, TypeError, UnsupportedAlgorithm)


def write_key_pair(private: Path, public: Path) -> None:
    """Make a new key pair; the private key can be read by its owner only.

    Raises:
        Conflict: one of the files exists.
    """
    for path in (private, public):
        if path.exists():
            raise Conflict(f"{path} exists already; a key that is overwritten is lost, so name another file")
    key = Ed25519PrivateKey.generate()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write_new(private, key.private_bytes(pem, pkcs8, serialization.NoEncryption()), OWNER_ONLY)
    subject = serialization.PublicFormat.SubjectPublicKeyInfo
    _write_new(public, key.public_key().public_bytes(pem, subject), READABLE)


def sign_release(folder: Path, private: Path) -> None:
    """Sign the manifest of a release that was verified, in place of an earlier signature if there is one.

    Raises:
        InvalidInput: the file holds no private ed25519 key.
    """
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except KEY_ERRORS:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput("key", f"{private} is no private ed25519 key; make one with: unbraid release keygen")
    signature = key.sign((folder / RELEASE_MANIFEST).read_bytes())
    add_file(folder, SIGNATURE, binascii.b2a_base64(signature))


def signature_check(public: Path | None) -> SignatureCheck | None:
    """What a ``ReleaseStore`` demands where a public key is configured; None where none is.

    Raises:
        InvalidInput: the file holds no public ed25519 key.
    """
    if public is None:
        return None
    try:
        key = serialization.load_pem_public_key(public.read_bytes())
    except KEY_ERRORS:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("public_key", f"{public} is no public ed25519 key; see: unbraid release keygen")
    trusted = key

    def is_signed(manifest: bytes, signature: bytes) -> bool:
        try:
            trusted.verify(binascii.a2b_base64(signature.removesuffix(b"\n"), strict_mode=True), manifest)
        except (InvalidSignature, binascii.Error):
            return False
        return True

    return is_signed


def trusted_releases(settings: ServerSettings) -> ReleaseStore:
    """The releases of a server, none of which is opened without the signature that its settings demand.

    Raises:
        InvalidInput: the file of the setting holds no public ed25519 key.
    """
    return ReleaseStore(settings.releases, signature_check(settings.public_key))


def _write_new(path: Path, content: bytes, mode: int) -> None:
    path.touch(mode, exist_ok=False)
    path.write_bytes(content)
