from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.release.layout import RANKER_FILES
from unbraid_core.release.manifest import (
    ExportManifest,
    FileEntry,
    ReleaseManifest,
    dump_manifest,
    parse_manifest,
    seal_manifest,
)

FIXTURE = Path(__file__).parents[2] / "fixtures" / "release-v1" / "manifest.json"
ENTRY = {"size": 1, "sha256": "0" * 64}


def fixture_text() -> bytes:
    return FIXTURE.read_bytes()


def sealed(document: dict[str, Any]) -> bytes:
    """A document with a correct digest of itself, however wrong its content may be."""
    text = json.dumps(document | {"manifest_sha256": "0" * 64}).encode()
    return text.replace(b"0" * 64, hashlib.sha256(text).hexdigest().encode(), 1)


def read(text: bytes) -> ReleaseManifest:
    return parse_manifest(text, ReleaseManifest, "r/manifest.json")


def test_a_manifest_survives_the_way_to_the_disk_and_back() -> None:
    manifest = read(fixture_text())
    assert read(dump_manifest(seal_manifest(manifest))) == manifest
    assert manifest.scoring.candidate_count == 12
    assert manifest.created_time == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_stored_bytes_do_not_depend_on_the_order_of_files() -> None:
    manifest = read(fixture_text())
    shuffled = manifest.model_copy(update={"files": dict(reversed(manifest.files.items()))})
    assert dump_manifest(seal_manifest(shuffled)) == fixture_text()


def test_times_are_stored_in_utc() -> None:
    document = json.loads(fixture_text())
    elsewhere = datetime(2026, 6, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    manifest = read(sealed(document | {"created_time": elsewhere.isoformat()}))
    assert b'"created_time": "2026-05-31T23:30:00Z"' in dump_manifest(manifest)


RANKER = {
    "features": ["affinity"],
    "tree_count": 100,
    "depth": 150,
    "neighbour_half_life_s": 86_400.0,
    "common_user_count": 3,
    "factor_confidence": 10.0,
    "factor_regularisation": 50.0,
    "parity_max_difference": 1e-6,
}


def test_a_ranker_is_told_with_its_files_and_is_not_mentioned_where_there_is_none() -> None:
    document = json.loads(fixture_text())
    files = document["files"] | dict.fromkeys(RANKER_FILES, ENTRY)
    manifest = read(sealed(document | {"ranker": RANKER, "files": files}))
    assert manifest.ranker is not None
    assert manifest.ranker.model_dump() == RANKER
    assert read(dump_manifest(seal_manifest(manifest))).ranker == manifest.ranker
    assert b"ranker" not in dump_manifest(read(fixture_text()))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update(colour="red"), "colour"),
        (lambda m: m["scoring"].update(colour="red"), "scoring.colour"),
        (lambda m: m.pop("space_id"), "space_id"),
        (lambda m: m.pop("parent"), "parent"),
        (lambda m: m.update(half_life_s=[1.0, float("nan")]), "half_life_s.1"),
        (lambda m: m.update(half_life_s=[1.0, 0.0]), "half_life_s.1"),
        (lambda m: m.update(half_life_s=[1.0]), "half_life_s has 1 value for 2 interests"),
        (lambda m: m["scoring"].update(beta=float("nan")), "scoring.beta"),
        (lambda m: m["scoring"].update(gamma=float("inf")), "scoring.gamma"),
        (lambda m: m["scoring"].update(temperature=0.0), "temperature must be above 0"),
        (lambda m: m["scoring"].update(quota_min=0), "quota_min must be above 0"),
        (lambda m: m["scoring"].update(quota_alpha=-0.5), "quota_alpha must be at least 0"),
        (lambda m: m["training"]["validation"].update(recall=float("nan")), "training.validation.recall"),
        (lambda m: m.update(created_time="2026-01-01T00:00:00"), "created_time"),
        (lambda m: m.update(created_time=0), "created_time"),
        (lambda m: m["encoder"].update(dimension="8"), "encoder.dimension"),
        (lambda m: m["encoder"].update(actions=[]), "encoder.actions"),
        (lambda m: m["index"].update(recall=1.5), "index.recall"),
        (lambda m: m["index"].update(family="Magic!"), "index.family"),
        (lambda m: m.update(release_id="../r"), "release_id"),
        (lambda m: m.update(space_id="a\n"), "space_id"),
        (lambda m: m.update(ranker=RANKER), "files does not list ranker.onnx, neighbour_rows.npy"),
        (lambda m: m.update(ranker=RANKER | {"features": []}), "ranker.features"),
        (lambda m: m.update(ranker=RANKER | {"depth": 0}), "ranker.depth"),
        (lambda m: m.update(ranker=RANKER | {"factor_regularisation": 0.0}), "ranker.factor_regularisation"),
        (lambda m: m["files"].pop("index.faiss"), "files does not list index.faiss"),
        (lambda m: m["files"]["index.faiss"].update(size=-1), "files.index.faiss.size"),
        (lambda m: m["files"]["index.faiss"].update(sha256="F" * 64), "files.index.faiss.sha256"),
    ],
)
def test_a_wrong_field_is_named(change: Change, named: str) -> None:
    document = json.loads(fixture_text())
    change(document)
    with pytest.raises(IntegrityError) as caught:
        read(sealed(document))
    assert caught.value.message.startswith("r/manifest.json: ")
    assert named in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            ".",
            "..",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\0b",
            "a\nb",
            ".hidden",
            "a/.b",
        ),
        *("manifest.json", "export.json"),
    ],
)
def test_a_path_that_could_leave_the_folder_is_refused(path: str) -> None:
    document = json.loads(fixture_text())
    document["files"][path] = ENTRY
    with pytest.raises(IntegrityError, match=r"^r/manifest\.json: files\."):
        read(sealed(document))


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_format_version_is_incompatible_whatever_else_is_wrong(version: object) -> None:
    document = {"format_version": version, "space_id": "", "new_field": 1}
    with pytest.raises(IncompatibleError, match=r"r/manifest\.json: format_version is .*, this unbraid reads 1"):
        read(sealed(document))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b'{"format_version": 1'])
def test_what_is_no_manifest_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(text)
    assert caught.value.message.startswith("r/manifest.json: ")
    assert len(caught.value.message) < 200


def test_a_change_by_hand_is_noticed_although_it_is_valid() -> None:
    edited = fixture_text().replace(b"604800.0", b"604801.0")
    with pytest.raises(IntegrityError, match="manifest_sha256: the manifest was changed"):
        read(edited)


def test_an_export_is_not_taken_for_a_release() -> None:
    document = json.loads(fixture_text())
    for name in ("release_id", "parent", "index"):
        del document[name]
    with pytest.raises(IntegrityError, match="release_id"):
        read(sealed(document))
    assert parse_manifest(sealed(document), ExportManifest, "e/export.json").space_id == document["space_id"]


def test_no_impossible_manifest_can_be_made() -> None:
    manifest = read(fixture_text())
    files = {"../outside": FileEntry(size=0, sha256="0" * 64)}
    with pytest.raises(ValidationError):
        ReleaseManifest.model_validate(manifest.model_dump() | {"files": manifest.files | files})


def test_no_single_bit_of_a_manifest_can_flip_unnoticed() -> None:
    text = fixture_text()
    for position in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[position] ^= 1 << bit
            with pytest.raises((IntegrityError, IncompatibleError)):
                read(bytes(damaged))
