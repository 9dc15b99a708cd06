from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError, IntegrityError, NotFound
from unbraid_core.release import Staging, open_export, open_release, publish_export

FIXTURE = Path(__file__).parents[2] / "fixtures" / "release-v1"
FILES = sorted(path.relative_to(FIXTURE).as_posix() for path in FIXTURE.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release whose files are damaged and mended again."""
    return Path(shutil.copytree(FIXTURE, tmp_path_factory.mktemp("integrity") / "release-v1"))


@contextmanager
def content(path: Path, damaged: bytes) -> Iterator[None]:
    sound = path.read_bytes()
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(sound)


def assert_refused_by_name(folder: Path, name: str) -> None:
    with pytest.raises((IntegrityError, IncompatibleError), match=re.escape(f"{folder.name}/{name}")):
        open_release(folder)


files = st.sampled_from(FILES)


@settings(max_examples=300, deadline=None)
@given(name=files, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(folder: Path, name: str, where: float, bit: int) -> None:
    damaged = bytearray((folder / name).read_bytes())
    damaged[int(where * len(damaged))] ^= 1 << bit
    with content(folder / name, bytes(damaged)):
        assert_refused_by_name(folder, name)
    open_release(folder)


@settings(max_examples=100, deadline=None)
@given(name=files, where=st.floats(0, 1, exclude_max=True))
def test_any_truncation_is_noticed(folder: Path, name: str, where: float) -> None:
    sound = (folder / name).read_bytes()
    with content(folder / name, sound[: int(where * len(sound))]):
        assert_refused_by_name(folder, name)


@settings(max_examples=50, deadline=None)
@given(name=files, tail=st.binary(min_size=1, max_size=20))
def test_any_addition_is_noticed(folder: Path, name: str, tail: bytes) -> None:
    with content(folder / name, (folder / name).read_bytes() + tail):
        assert_refused_by_name(folder, name)


foreign_names = st.from_regex(r"(reports/)?[a-z._]{1,12}", fullmatch=True).filter(
    lambda name: name not in FILES and not name.endswith(("/.", "/..")) and name not in (".", "..", "reports")
)


@settings(max_examples=50, deadline=None)
@given(name=foreign_names)
def test_any_foreign_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    try:
        assert_refused_by_name(folder, name)
    finally:
        (folder / name).unlink()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(release_folder: Path, name: str) -> None:
    (release_folder / name).unlink()
    assert_refused_by_name(release_folder, name)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused_even_to_equal_bytes(release_folder: Path, name: str) -> None:
    (release_folder / name).unlink()
    (release_folder / name).symlink_to(FIXTURE / name)
    with pytest.raises(IntegrityError, match=rf"release-v1/{re.escape(name)}: expected a plain file"):
        open_release(release_folder)


def test_a_linked_folder_is_refused(release_folder: Path) -> None:
    shutil.rmtree(release_folder / "reports")
    (release_folder / "reports").symlink_to(FIXTURE / "reports")
    with pytest.raises(IntegrityError, match=r"release-v1/reports: expected a plain file"):
        open_release(release_folder)


def test_a_device_is_never_opened(release_folder: Path) -> None:
    (release_folder / "index.faiss").unlink()
    os.mkfifo(release_folder / "index.faiss")
    with pytest.raises(IntegrityError, match=r"release-v1/index\.faiss: expected a plain file"):
        open_release(release_folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
@pytest.mark.parametrize("name", ["manifest.json", "index.faiss", "reports"])
def test_what_may_not_be_read_is_named(release_folder: Path, name: str) -> None:
    (release_folder / name).chmod(0)
    try:
        assert_refused_by_name(release_folder, name)
    finally:
        (release_folder / name).chmod(0o700)


def test_only_listed_files_have_a_path() -> None:
    release = open_release(FIXTURE)
    assert release.path("reports/index.json").read_text() == '{"recall": 1.0}\n'
    for name in ("manifest.json", "../make_release_v1.py", "nothing"):
        with pytest.raises(NotFound, match="lists no file"):
            release.path(name)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


UNIT_ID = np.load(FIXTURE / "item_vectors.npy")
FEATURES_IF = np.load(FIXTURE / "item_features.npy")


def changed(array: np.ndarray, value: float) -> np.ndarray:
    copy = array.copy()
    copy[3, 0] = value
    return copy


@pytest.mark.parametrize(
    ("name", "damaged", "kind", "problem"),
    [
        ("item_vectors.npy", npy(UNIT_ID.astype(np.float64)), IncompatibleError, "found float64 [24, 8]"),
        ("item_vectors.npy", npy(UNIT_ID[:, :7]), IncompatibleError, "expected float32 [*, 8], found float32 [24, 7]"),
        ("item_vectors.npy", npy(UNIT_ID[:, 0]), IncompatibleError, "found float32 [24]"),
        ("item_vectors.npy", npy(UNIT_ID[:20]), IncompatibleError, "20 in item_vectors.npy"),
        ("item_vectors.npy", npy(changed(UNIT_ID, np.nan)), IntegrityError, "row 3 has length nan"),
        ("item_vectors.npy", npy(changed(UNIT_ID, np.inf)), IntegrityError, "row 3 has length inf"),
        ("item_vectors.npy", npy(changed(UNIT_ID, 3.0)), IntegrityError, "row 3 has length 3."),
        ("item_vectors.npy", npy(np.array([{}], dtype=object)), IntegrityError, "not a NumPy array"),
        ("item_vectors.npy", b"", IntegrityError, "not a NumPy array"),
        ("item_vectors.npy", b"junk", IntegrityError, "not a NumPy array"),
        ("item_vectors.npy", npz(UNIT_ID), IntegrityError, "not a NumPy array"),
        ("item_vectors.npy", npy(UNIT_ID)[:-1], IntegrityError, "not a NumPy array"),
        ("item_features.npy", npy(FEATURES_IF[:, 0]), IncompatibleError, "expected float32 [*, 1]"),
        ("item_features.npy", npy(FEATURES_IF[:5]), IncompatibleError, "5 in item_features.npy"),
        ("item_features.npy", npy(changed(FEATURES_IF, -np.inf)), IntegrityError, "a value is not finite"),
        ("items.arrow", b"junk", IntegrityError, "items.arrow: not an Arrow file"),
        ("queries.npy", npy(UNIT_ID[:, :2]), IncompatibleError, "queries.npy: expected float32 [*, 8]"),
        ("queries.npy", npy(2 * UNIT_ID), IntegrityError, "queries.npy: row 0 has length 2.0"),
    ],
)
def test_impossible_content_is_refused_although_its_digest_is_right(
    tmp_path: Path, name: str, damaged: bytes, kind: type[Exception], problem: str
) -> None:
    source = open_release(FIXTURE)
    with Staging(tmp_path) as staging:
        for required in source.manifest.required_files:
            shutil.copyfile(source.path(required), staging.folder / required)
        (staging.folder / name).write_bytes(damaged)
        described = {field: getattr(source.manifest, field) for field in ("space_id", "created_time", "encoder")}
        numbers = {field: getattr(source.manifest, field) for field in ("half_life_s", "scoring", "training")}
        publish_export(staging, "export", **described, **numbers)
    with pytest.raises(kind, match=re.escape(problem)):
        open_export(tmp_path / "export").queries()


def test_what_was_opened_is_what_was_stored() -> None:
    release = open_release(FIXTURE)
    np.testing.assert_array_equal(release.item_vectors_ID, UNIT_ID)
    np.testing.assert_array_equal(release.log_popularity_I, FEATURES_IF[:, 0])
    assert release.catalogue.table.equals(Catalogue.open(FIXTURE / "items.arrow").table)
    assert not release.item_vectors_ID[:].flags.writeable
