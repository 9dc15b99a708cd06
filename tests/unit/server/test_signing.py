"""Signed releases: what a server with a public key takes, and what it refuses."""

from __future__ import annotations

import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.errors import Conflict, IntegrityError, InvalidInput
from unbraid_core.release import ReleaseStore, SignatureCheck, open_release
from unbraid_server.signing import sign_release, signature_check, write_key_pair

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key."""
    folder = tmp_path_factory.mktemp("keys")
    write_key_pair(folder / "key", folder / "key.pub")
    return folder / "key", folder / "key.pub"


@pytest.fixture(scope="module")
def is_signed(keys: tuple[Path, Path]) -> SignatureCheck:
    """The check of a server that trusts the public key."""
    check = signature_check(keys[1])
    assert check is not None
    return check


@pytest.fixture
def store(tmp_path: Path, release_v1: Path, is_signed: SignatureCheck) -> ReleaseStore:
    """One release, not signed, in a store that demands signatures."""
    root = tmp_path / "releases"
    shutil.copytree(release_v1, root / open_release(release_v1).manifest.release_id)
    return ReleaseStore(root, is_signed)


def only_id(store: ReleaseStore) -> str:
    [summary] = store.list()
    return summary.release_id


def test_a_signed_release_is_opened_and_activated(store: ReleaseStore, keys: tuple[Path, Path]) -> None:
    release_id = only_id(store)
    sign_release(store.root / release_id, keys[0])
    store.activate(release_id, NOW)
    assert store.open().manifest.release_id == release_id
    assert store.list()[0].problem is None
    assert list(store.root.glob(".staging-*")) == []


def test_a_release_that_is_not_signed_is_refused_where_a_key_is_configured(store: ReleaseStore) -> None:
    release_id = only_id(store)
    with pytest.raises(IntegrityError, match=rf"{release_id}/manifest\.sig: a signature is demanded"):
        store.activate(release_id, NOW)
    assert store.current_id() is None
    assert ReleaseStore(store.root).open(release_id).manifest.release_id == release_id


def test_a_release_that_somebody_else_signed_is_refused(store: ReleaseStore, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "other", tmp_path / "other.pub")
    sign_release(store.root / only_id(store), tmp_path / "other")
    with pytest.raises(IntegrityError, match="not signed with the key that is trusted"):
        store.open(only_id(store))


def test_signing_again_replaces_the_signature(store: ReleaseStore, keys: tuple[Path, Path], tmp_path: Path) -> None:
    folder = store.root / only_id(store)
    write_key_pair(tmp_path / "other", tmp_path / "other.pub")
    for key in (tmp_path / "other", keys[0]):
        sign_release(folder, key)
    assert store.open(folder.name).manifest.release_id == folder.name


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=100) | st.binary(min_size=64, max_size=64))
def test_only_the_key_makes_signatures(is_signed: SignatureCheck, content: bytes) -> None:
    assert not is_signed(b"a manifest", content)


def test_a_signature_is_of_one_manifest(
    store: ReleaseStore, keys: tuple[Path, Path], is_signed: SignatureCheck
) -> None:
    folder = store.root / only_id(store)
    sign_release(folder, keys[0])
    manifest, signature = (folder / "manifest.json").read_bytes(), (folder / "manifest.sig").read_bytes()
    assert is_signed(manifest, signature)
    assert not is_signed(manifest + b"\n", signature)
    assert not is_signed(manifest, signature.swapcase())


def test_the_private_key_is_for_its_owner_only_and_neither_is_overwritten(keys: tuple[Path, Path]) -> None:
    private, public = keys
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    for private_file, public_file in ((private, public.with_name("new.pub")), (private.with_name("new"), public)):
        with pytest.raises(Conflict, match="exists already"):
            write_key_pair(private_file, public_file)
    assert not private.with_name("new").exists()


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_a_file_without_a_key_is_refused(store: ReleaseStore, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(content if content is not None else _other_kind())
    with pytest.raises(InvalidInput, match="no public ed25519 key"):
        signature_check(path)
    with pytest.raises(InvalidInput, match="no private ed25519 key"):
        sign_release(store.root / only_id(store), path)


def _other_kind() -> bytes:
    return X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_without_a_key_nothing_is_demanded() -> None:
    assert signature_check(None) is None
