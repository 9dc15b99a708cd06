from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import Conflict, IncompatibleError, IntegrityError, InvalidInput, NotFound
from unbraid_core.release import ReleaseStore, open_export, open_release
from unbraid_core.release.layout import EXPORT_FILES, INDEX, ITEM_VECTORS, QUERIES, QUERY_SHARES
from unbraid_core.types import FloatArray
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.release_build import IndexedRelease, build_release, rebuild_release
from unbraid_index.report import IndexReport
from unbraid_index.report_files import INDEX_PLOT, INDEX_REPORT

MakeVectors = Callable[..., FloatArray]
MakeExport = Callable[..., Path]

FIRST, SECOND, THIRD = (datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2, 3))


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture
def export_folder(make_export: MakeExport) -> Path:
    return make_export()


@pytest.fixture
def first(export_folder: Path, store: ReleaseStore) -> IndexedRelease:
    """A release made of an export with held-out interests; it is not active."""
    return build_release(export_folder, store, FIRST, 0.99)


def test_a_release_is_the_export_and_an_index_that_answers_like_the_oracle(
    export_folder: Path, store: ReleaseStore, first: IndexedRelease, unit_vectors: MakeVectors
) -> None:
    release = store.open(first.manifest.release_id)
    export = open_export(export_folder)

    assert set(release.manifest.files) == {*export.manifest.files, INDEX, INDEX_REPORT, INDEX_PLOT} - {QUERIES}
    assert all(release.manifest.files[name] == export.manifest.files[name] for name in EXPORT_FILES)
    assert release.manifest.created_time == FIRST
    assert release.manifest.space_id == export.manifest.space_id
    spec = release.manifest.index
    searcher = FaissSearcher.open(release.path(INDEX), spec.family, spec.search_params, release.item_vectors_ID)
    query_QD = unit_vectors(10, 8, seed=5)
    np.testing.assert_array_equal(
        searcher.search(query_QD, 24).row_QC, ExactSearcher(export.item_vectors_ID).search(query_QD, 24).row_QC
    )


def test_the_report_lies_in_the_release(store: ReleaseStore, first: IndexedRelease) -> None:
    release = store.open(first.manifest.release_id)
    report = IndexReport.model_validate_json(release.path(INDEX_REPORT).read_bytes())
    assert report == first.report
    assert report.spec == release.manifest.index
    assert report.interest_count == release.manifest.encoder.interest_count
    assert release.path(INDEX_PLOT).read_text().startswith("<svg")
    assert report.file_size_bytes == release.manifest.files[INDEX].size


def test_the_recall_is_measured_with_held_out_users(make_export: MakeExport, store: ReleaseStore) -> None:
    built = build_release(make_export(queries=200, shares=True), store, FIRST, 0.99)
    assert built.report.spec.query_source == "held-out users"
    interest_count = built.manifest.encoder.interest_count
    assert built.report.tuning_user_count + built.report.held_out_user_count == 200 // interest_count
    assert not {QUERIES, QUERY_SHARES} & set(built.manifest.files)


def test_an_export_whose_interests_do_not_say_whose_they_are_says_so(first: IndexedRelease) -> None:
    assert first.report.spec.query_source == "held-out interests"


@pytest.mark.parametrize("queries", [0, 99])
def test_the_recall_is_measured_on_items_where_interests_are_few(
    make_export: MakeExport, store: ReleaseStore, queries: int
) -> None:
    built = build_release(make_export(queries=queries), store, FIRST, 0.99)
    assert built.report.spec.query_source == "item vectors"
    assert QUERIES not in built.manifest.files


def test_the_parent_of_a_build_is_the_active_release(
    export_folder: Path, store: ReleaseStore, first: IndexedRelease
) -> None:
    assert first.manifest.parent is None
    store.activate(first.manifest.release_id, SECOND)
    second = build_release(export_folder, store, SECOND, 0.99)
    assert second.manifest.parent == first.manifest.release_id


def test_a_rebuild_is_a_child_with_the_same_content_and_leaves_its_parent_alone(
    store: ReleaseStore, first: IndexedRelease
) -> None:
    store.activate(first.manifest.release_id, SECOND)
    child = rebuild_release(store, None, None, THIRD, 0.99)

    assert child.manifest.parent == first.manifest.release_id
    assert child.manifest.release_id != first.manifest.release_id
    assert child.manifest.space_id == first.manifest.space_id
    changed = {name for name, file in child.manifest.files.items() if first.manifest.files[name] != file}
    assert changed <= {INDEX, INDEX_REPORT, INDEX_PLOT}
    assert child.report.spec.query_source == "item vectors"
    assert store.open(first.manifest.release_id).manifest == first.manifest
    assert store.current_id() == first.manifest.release_id


def test_a_rebuild_shares_what_it_did_not_change_and_outlives_its_parent(
    store: ReleaseStore, first: IndexedRelease
) -> None:
    child = rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)
    parent_folder, folder = (store.root / each.manifest.release_id for each in (first, child))
    shared = {name for name in child.manifest.files if (folder / name).samefile(parent_folder / name)}
    assert shared == {*child.manifest.files} - {INDEX, INDEX_REPORT, INDEX_PLOT}
    shutil.rmtree(parent_folder)
    assert store.open(child.manifest.release_id).manifest == child.manifest


def test_a_release_shares_no_file_with_the_export_that_it_was_made_of(
    export_folder: Path, store: ReleaseStore, first: IndexedRelease
) -> None:
    for name in open_export(export_folder).manifest.files:
        (export_folder / name).write_bytes(b"damaged")
    assert store.open(first.manifest.release_id).manifest == first.manifest


def test_damage_to_a_shared_file_is_noticed_in_both(store: ReleaseStore, first: IndexedRelease) -> None:
    child = rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)
    (store.root / first.manifest.release_id / ITEM_VECTORS).write_bytes(b"damaged")
    for release_id in (first.manifest.release_id, child.manifest.release_id):
        with pytest.raises(IntegrityError, match=f"{release_id}/{ITEM_VECTORS}"):
            store.open(release_id)


def test_a_file_system_without_links_gets_copies(
    store: ReleaseStore, first: IndexedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    child = rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)
    vectors = [store.root / each.manifest.release_id / ITEM_VECTORS for each in (first, child)]
    assert not vectors[0].samefile(vectors[1])
    assert vectors[0].read_bytes() == vectors[1].read_bytes()


def test_a_rebuild_that_does_not_work_is_not_published(store: ReleaseStore, first: IndexedRelease) -> None:
    tried: list[Path] = []

    def probe(folder: Path) -> None:
        tried.append(folder)
        open_release(folder)
        raise IncompatibleError(f"{folder.name}: does not answer")

    with pytest.raises(IncompatibleError, match="does not answer"):
        rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99, probe=probe)
    assert [each.release_id for each in store.list()] == [first.manifest.release_id]
    assert [folder.exists() for folder in tried] == [False]


def test_a_second_rebuild_is_told_who_is_at_it(store: ReleaseStore, first: IndexedRelease) -> None:
    with store.rebuilding(), pytest.raises(Conflict, match=f"process {os.getpid()} rebuilds a release already"):
        rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)
    rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)


def test_a_rebuild_measures_on_given_interests(
    store: ReleaseStore, first: IndexedRelease, unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    np.save(tmp_path / "interests.npy", unit_vectors(120, 8, seed=9))
    child = rebuild_release(store, first.manifest.release_id, tmp_path / "interests.npy", SECOND, 0.99)
    assert child.report.spec.query_source == "held-out interests"
    assert child.report.tuning_user_count + child.report.held_out_user_count == 120 // child.report.interest_count


def test_a_rebuild_measures_on_given_users(
    store: ReleaseStore, first: IndexedRelease, unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    interest_count = first.report.interest_count
    np.save(tmp_path / QUERIES, unit_vectors(120, 8, seed=9))
    np.save(tmp_path / QUERY_SHARES, np.full((120 // interest_count, interest_count), -0.7, np.float32))
    child = rebuild_release(store, first.manifest.release_id, tmp_path / QUERIES, SECOND, 0.99)
    assert child.report.spec.query_source == "held-out users"
    assert child.report.interest_count == interest_count


def test_shares_of_other_interests_are_refused(
    store: ReleaseStore, first: IndexedRelease, unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    np.save(tmp_path / QUERIES, unit_vectors(120, 8, seed=9))
    np.save(tmp_path / QUERY_SHARES, np.zeros((7, 2), np.float32))
    with pytest.raises(InvalidInput, match=r"query_log_shares\.npy: holds \[7, 2\].*of 120 interests"):
        rebuild_release(store, first.manifest.release_id, tmp_path / QUERIES, SECOND, 0.99)


@pytest.mark.parametrize(
    ("interests", "problem"),
    [
        (np.zeros((120, 7), np.float32), r"float32 \[120, 7\]; float32 \[Q, 8\] is needed"),
        (np.zeros((120, 8), np.float64), "holds float64"),
        (np.zeros(120, np.float32), "is needed"),
        (np.zeros((99, 8), np.float32), "holds 99 vectors; at least 100"),
        (np.full((120, 8), np.nan, np.float32), "NaN"),
    ],
)
def test_interests_that_cannot_be_used_are_refused(
    store: ReleaseStore, first: IndexedRelease, tmp_path: Path, interests: FloatArray, problem: str
) -> None:
    np.save(tmp_path / "interests.npy", interests)
    with pytest.raises(InvalidInput, match=problem):
        rebuild_release(store, first.manifest.release_id, tmp_path / "interests.npy", SECOND, 0.99)


@pytest.mark.parametrize("content", [None, b"", b"no array"])
def test_interests_that_cannot_be_read_are_refused(
    store: ReleaseStore, first: IndexedRelease, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "interests.npy").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"interests\.npy: cannot be read"):
        rebuild_release(store, first.manifest.release_id, tmp_path / "interests.npy", SECOND, 0.99)


def test_a_damaged_index_is_noticed_before_it_is_opened(store: ReleaseStore, first: IndexedRelease) -> None:
    path = store.root / first.manifest.release_id / INDEX
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"index\.faiss: expected sha256"):
        store.open(first.manifest.release_id)
    with pytest.raises(IntegrityError, match=r"index\.faiss"):
        rebuild_release(store, first.manifest.release_id, None, SECOND, 0.99)


def test_nothing_is_published_from_a_damaged_export(export_folder: Path, store: ReleaseStore) -> None:
    vectors = bytearray((export_folder / ITEM_VECTORS).read_bytes())
    vectors[-1] ^= 1
    (export_folder / ITEM_VECTORS).write_bytes(vectors)
    with pytest.raises(IntegrityError, match="item_vectors"):
        build_release(export_folder, store, FIRST, 0.99)
    assert store.list() == []


def test_nothing_is_published_for_an_impossible_target(export_folder: Path, store: ReleaseStore) -> None:
    with pytest.raises(InvalidInput, match="recall_target"):
        build_release(export_folder, store, FIRST, 1.5)
    assert store.list() == []


def test_an_export_that_does_not_exist_is_named(store: ReleaseStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        build_release(tmp_path / "nowhere", store, FIRST, 0.99)


@pytest.mark.usefixtures("first")
def test_a_rebuild_needs_a_release(store: ReleaseStore) -> None:
    with pytest.raises(NotFound, match="no release is active"):
        rebuild_release(store, None, None, SECOND, 0.99)
    with pytest.raises(NotFound, match="no-such-release"):
        rebuild_release(store, "no-such-release", None, SECOND, 0.99)
