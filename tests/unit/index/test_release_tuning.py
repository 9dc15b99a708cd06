"""Tuning a release anew, and measuring what else it could have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unbraid_core.errors import InvalidInput
from unbraid_core.release import ReleaseStore, open_export
from unbraid_core.types import FloatArray
from unbraid_index.build import IndexSettings
from unbraid_index.queries import held_out_queries
from unbraid_index.release_build import IndexedRelease, build_release
from unbraid_index.release_tuning import bench_index, tune_release
from unbraid_index.report import IndexReport
from unbraid_index.report_files import INDEX_PLOT, INDEX_REPORT

MakeExport = Callable[..., Path]
MakeVectors = Callable[..., FloatArray]

FIRST, SECOND = (datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2))


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture
def first(make_export: MakeExport, store: ReleaseStore) -> IndexedRelease:
    return build_release(make_export(), store, FIRST, 0.99)


def test_a_tuned_release_is_a_child_with_other_numbers_and_a_report_that_says_them(
    store: ReleaseStore, first: IndexedRelease
) -> None:
    tuned = tune_release(store, first.manifest.release_id, None, SECOND, IndexSettings(0.9))
    assert tuned.manifest.parent == first.manifest.release_id
    reports = {INDEX_REPORT, INDEX_PLOT}
    assert {name: file for name, file in tuned.manifest.files.items() if name not in reports} == {
        name: file for name, file in first.manifest.files.items() if name not in reports
    }
    report = IndexReport.model_validate_json(store.open(tuned.manifest.release_id).path(INDEX_REPORT).read_bytes())
    assert report.spec == tuned.manifest.index
    assert report.recall_target == 0.9
    assert [entry.family for entry in report.entries] == [entry.family for entry in first.report.entries]
    assert tuned.manifest.index.family == first.manifest.index.family
    assert tuned.manifest.index.query_source == "item vectors"
    assert tuned.manifest.index.recall_lower_bound == tuned.after.lower_bound
    assert tuned.before.recall == tuned.after.recall == 1.0
    assert store.open(tuned.manifest.release_id).manifest == tuned.manifest


def test_nothing_is_published_where_the_queries_cannot_be_used(
    store: ReleaseStore, first: IndexedRelease, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        tune_release(store, first.manifest.release_id, tmp_path / "none.npy", SECOND, IndexSettings(0.9))
    assert [each.release_id for each in store.list()] == [first.manifest.release_id]


def test_a_bench_measures_the_families_and_leaves_nothing_behind(make_export: MakeExport) -> None:
    export = open_export(make_export())
    before = sorted(export.folder.parent.rglob("*"))
    report = bench_index(export, held_out_queries(export, 0), IndexSettings(0.9))
    assert {"flat", "sq_fp16"} <= {entry.family for entry in report.entries if entry.tuned is not None}
    assert sorted(export.folder.parent.rglob("*")) == before
