"""Making releases: an export gets its index, or a release gets a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unbraid_core.catalogue import Catalogue
from unbraid_core.release import (
    Export,
    Probe,
    Release,
    ReleaseManifest,
    ReleaseStore,
    Staging,
    open_export,
    publish_release,
)
from unbraid_core.release.layout import INDEX, REPORTS
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.new_items import Addition, add_items
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import MIN_QUERIES, RecallQueries
from unbraid_index.report import IndexReport

__all__ = ["INDEX_REPORT", "IndexedRelease", "build_release", "rebuild_release"]

INDEX_REPORT = f"{REPORTS}/index.json"


@dataclass(frozen=True, slots=True)
class IndexedRelease:
    """A release that was just published, how its index came to be, and what was added to its catalogue."""

    manifest: ReleaseManifest
    report: IndexReport
    addition: Addition | None


def build_release(
    export_folder: Path,
    store: ReleaseStore,
    created_time: datetime,
    recall_target: float,
    on_progress: OnProgress = unwatched,
    new_items: Catalogue | None = None,
) -> IndexedRelease:
    """Build the index over an export and publish both as a release; its parent is the release that is active now.

    The recall is measured on the held-out interests of the export, on item vectors where it has less than 100.

    Args:
        export_folder: what ``unbraid export`` wrote.
        store: where the release will be.
        created_time: now, with a time zone.
        recall_target: as in ``IndexSettings``.
        on_progress: told about every step.
        new_items: those that the export does not have get vectors from their text; see ``add_items``.

    Raises:
        InvalidInput: the target is not above 0 and at most 1, or the items do not fit the catalogue.
        NotFound, IntegrityError, IncompatibleError: the export cannot be used; nothing is published.
    """
    export = open_export(export_folder)
    settings = IndexSettings(recall_target, export.manifest.encoder.interest_count)
    queries = _queries_of(export, settings.seed)
    return _publish(export, queries, settings, store, store.current_id(), created_time, on_progress, new_items)


def rebuild_release(
    store: ReleaseStore,
    release_id: str | None,
    queries_file: Path | None,
    created_time: datetime,
    recall_target: float,
    on_progress: OnProgress = unwatched,
    new_items: Catalogue | None = None,
    probe: Probe | None = None,
) -> IndexedRelease:
    """Build the index of a release anew from its vectors and publish it as a release whose parent is the old one.

    Args:
        store: where the release is, and the new one will be.
        release_id: which one; None for the active one.
        queries_file: .npy file with held-out interests to measure on; a release carries none, so without the file the
            recall is measured on item vectors.
        created_time: now, with a time zone.
        recall_target: as in ``IndexSettings``.
        on_progress: told about every step.
        new_items: as in ``build_release``.
        probe: gets the new release before it is published, and raises where it does not work.

    Raises:
        InvalidInput: the target, the queries file or the items cannot be used.
        NotFound, IntegrityError, IncompatibleError: the release or its child cannot be used; nothing is published.
        Conflict: another process rebuilds a release of this folder.
    """
    release = store.open(release_id)
    settings = IndexSettings(recall_target, release.manifest.encoder.interest_count)
    if queries_file is None:
        queries = RecallQueries.of_items(release.item_vectors_ID, settings.seed)
    else:
        queries = RecallQueries.read(queries_file, release.manifest.encoder.dimension, settings.seed)
    parent = release.manifest.release_id
    with store.rebuilding():
        return _publish(release, queries, settings, store, parent, created_time, on_progress, new_items, probe)


def _queries_of(export: Export, seed: int) -> RecallQueries:
    interests_QD = export.queries()
    if interests_QD is None or len(interests_QD) < MIN_QUERIES:
        return RecallQueries.of_items(export.item_vectors_ID, seed)
    return RecallQueries.of_interests(interests_QD, seed)


def _publish(
    source: Export | Release,
    queries: RecallQueries,
    settings: IndexSettings,
    store: ReleaseStore,
    parent: str | None,
    created_time: datetime,
    on_progress: OnProgress,
    new_items: Catalogue | None,
    probe: Probe | None = None,
) -> IndexedRelease:
    with Staging(store.root) as staging:
        item_vectors_ID, addition = source.item_vectors_ID, None
        if new_items is not None:
            item_vectors_ID, addition = add_items(source, new_items, staging.folder)
        report = build_index(item_vectors_ID, queries, staging.folder / INDEX, settings, on_progress)
        report_file = staging.folder / INDEX_REPORT
        report_file.parent.mkdir()
        report_file.write_text(report.model_dump_json(indent=2) + "\n")
        manifest = publish_release(
            staging, source, index=report.spec, parent=parent, created_time=created_time, probe=probe
        )
    return IndexedRelease(manifest, report, addition)
