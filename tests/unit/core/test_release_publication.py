from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import Conflict, IntegrityError, NotFound
from unbraid_core.release import (
    Export,
    ExportManifest,
    ReleaseManifest,
    ReleaseStore,
    Staging,
    open_export,
    open_release,
    publish_export,
    publish_release,
)

FIXTURE = Path(__file__).parents[2] / "fixtures" / "release-v1"
NOW = datetime(2026, 5, 1, 10, 20, 30, tzinfo=UTC)


def fill(staging: Staging) -> None:
    """Put the files of an export with queries and a report into a staging folder."""
    source = open_release(FIXTURE)
    for name in ExportManifest.required_files:
        shutil.copyfile(source.path(name), staging.folder / name)
    np.save(staging.folder / "queries.npy", source.item_vectors_ID[:5])
    (staging.folder / "reports").mkdir()
    (staging.folder / "reports" / "parity.json").write_text("{}")


def publish(staging: Staging, name: str) -> ExportManifest:
    manifest = open_release(FIXTURE).manifest
    return publish_export(
        staging,
        name,
        space_id=manifest.space_id,
        created_time=NOW,
        encoder=manifest.encoder,
        half_life_s=manifest.half_life_s,
        scoring=manifest.scoring,
        training=manifest.training,
    )


@pytest.fixture
def export(tmp_path: Path) -> Export:
    with Staging(tmp_path / "exports") as staging:
        fill(staging)
        publish(staging, "mine")
    return open_export(tmp_path / "exports" / "mine")


def release_of(export: Export, root: Path, when: datetime = NOW) -> ReleaseManifest:
    with Staging(root) as staging:
        (staging.folder / "index.faiss").write_bytes(b"an index")
        (staging.folder / "reports").mkdir()
        (staging.folder / "reports" / "index.json").write_text("{}")
        index = open_release(FIXTURE).manifest.index
        return publish_release(staging, export, index=index, parent="an-older-one", created_time=when)


def test_an_export_is_complete_when_it_appears(export: Export) -> None:
    listed = {"user_encoder.onnx", "item_vectors.npy", "item_features.npy", "items.arrow", "queries.npy"}
    assert set(export.manifest.files) == listed | {"reports/parity.json"}
    assert sorted(path.name for path in export.folder.parent.iterdir()) == ["mine"]
    np.testing.assert_array_equal(export.queries(), export.item_vectors_ID[:5])


def test_a_release_is_its_export_and_the_index_and_never_the_queries(export: Export, tmp_path: Path) -> None:
    manifest = release_of(export, tmp_path / "releases")
    release = ReleaseStore(tmp_path / "releases").open(manifest.release_id)
    added, left_out = {"index.faiss", "reports/index.json"}, {"queries.npy"}
    assert set(release.manifest.files) == set(export.manifest.files) - left_out | added
    assert not (release.folder / "queries.npy").exists()
    assert release.manifest == manifest
    assert release.manifest.parent == "an-older-one"
    assert release.manifest.half_life_s == export.manifest.half_life_s
    assert re.fullmatch(r"20260501T102030Z-[0-9a-f]{8}", manifest.release_id)


def test_a_rebuild_keeps_the_ranker(release_learned: Path, tmp_path: Path) -> None:
    source = open_release(release_learned)
    with Staging(tmp_path) as staging:
        (staging.folder / "index.faiss").write_bytes(b"another index")
        child = publish_release(
            staging, source, index=source.manifest.index, parent=source.manifest.release_id, created_time=NOW
        )
    opened = ReleaseStore(tmp_path).open(child.release_id)
    assert opened.manifest.ranker == source.manifest.ranker
    assert opened.path("ranker.onnx").read_bytes() == source.path("ranker.onnx").read_bytes()
    assert opened.ranker_inputs is not None
    assert source.ranker_inputs is not None
    assert opened.ranker_inputs.depth == source.ranker_inputs.depth
    assert opened.ranker_inputs.statistics.reference_time_s == source.manifest.training.last_event_time.timestamp()
    for after, before in (
        (opened.ranker_inputs.neighbours.row_IM, source.ranker_inputs.neighbours.row_IM),
        (opened.ranker_inputs.neighbours.weight_IM, source.ranker_inputs.neighbours.weight_IM),
        (opened.ranker_inputs.factors.vector_IF, source.ranker_inputs.factors.vector_IF),
        (opened.ranker_inputs.statistics.value_IS[:], source.ranker_inputs.statistics.value_IS[:]),
    ):
        np.testing.assert_array_equal(after, before)
        assert not after.flags.writeable


def test_the_id_tells_the_content(export: Export, tmp_path: Path) -> None:
    first = release_of(export, tmp_path / "releases").release_id
    later = release_of(export, tmp_path / "releases", NOW.replace(minute=21)).release_id
    assert later == first.replace("T1020", "T1021")
    with pytest.raises(Conflict, match=f"{first} exists already"):
        release_of(export, tmp_path / "releases")


def test_a_rebuild_takes_its_own_files_over_those_of_its_source(export: Export, tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path / "releases")
    source = store.open(release_of(export, store.root).release_id)
    with Staging(store.root) as staging:
        (staging.folder / "index.faiss").write_bytes(b"another index")
        index = source.manifest.index.model_copy(update={"recall": 0.5})
        child = publish_release(
            staging, source, index=index, parent=source.manifest.release_id, created_time=NOW.replace(hour=11)
        )
    opened = store.open(child.release_id)
    assert opened.path("index.faiss").read_bytes() == b"another index"
    assert opened.manifest.index.recall == 0.5
    assert opened.manifest.files.keys() == source.manifest.files.keys()


def test_a_published_folder_is_never_replaced(export: Export) -> None:
    before = (export.folder / "export.json").read_bytes()
    with Staging(export.folder.parent) as staging:
        fill(staging)
        with pytest.raises(Conflict, match="mine exists already"):
            publish(staging, "mine")
    assert (export.folder / "export.json").read_bytes() == before


def test_damage_to_the_source_is_not_signed_anew(export: Export, tmp_path: Path) -> None:
    damaged = bytearray((export.folder / "user_encoder.onnx").read_bytes())
    damaged[100] ^= 1
    (export.folder / "user_encoder.onnx").write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"mine/user_encoder\.onnx: changed"):
        release_of(export, tmp_path / "releases")
    assert ReleaseStore(tmp_path / "releases").list() == []


@pytest.mark.parametrize("error", [ValueError("no parity"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failed_publication(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with Staging(tmp_path) as staging:
            fill(staging)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_was_killed_is_cleaned_up_after_and_one_that_lives_is_not(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from unbraid_core.release import Staging
with Staging(pathlib.Path(sys.argv[1])) as staging:
    (staging.folder / "half").write_bytes(b"done")
    print(staging.folder.parent.name, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        home = tmp_path / writer.stdout.readline().strip()
        with Staging(tmp_path):
            assert (home / "content" / "half").exists()
        writer.kill()
        writer.wait()
    assert home.exists()
    with Staging(tmp_path):
        assert not home.exists()


def test_several_can_write_at_once(tmp_path: Path) -> None:
    with Staging(tmp_path) as first, Staging(tmp_path) as second:
        fill(first)
        fill(second)
        publish(second, "second")
        publish(first, "first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
    assert open_export(tmp_path / "first").manifest.files == open_export(tmp_path / "second").manifest.files


def test_others_may_read_what_was_published(export: Export) -> None:
    umask = os.umask(0)
    os.umask(umask)
    for path in (export.folder, *export.folder.rglob("*")):
        expected = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_an_export_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(
        NotFound, match=r"nowhere: is no export \(export.json is missing\); name the folder that unbraid"
    ):
        open_export(tmp_path / "nowhere")
