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
from unbraid_core.release.layout import INDEX
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.new_items import Addition, add_items
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import RecallQueries, given_queries, held_out_queries
from unbraid_index.report import IndexReport
from unbraid_index.report_files import write_report

__all__ = ["IndexedRelease", "build_release", "rebuild_release"]


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
    memory_budget_mb: int | None = None,
) -> IndexedRelease:
    """Build the index over an export and publish both as a release; its parent is the release that is active now.

    The recall is measured with the held-out users of the export, on item vectors where it has less than 100 interests.

    Args:
        export_folder: what ``unbraid export`` wrote.
        store: where the release will be.
        created_time: now, with a time zone.
        recall_target: as in ``IndexSettings``.
        on_progress: told about every step.
        new_items: those that the export does not have get vectors from their text; see ``add_items``.
        memory_budget_mb: as in ``IndexSettings``.

    Raises:
        InvalidInput: the target or the memory budget is impossible, or the items do not fit the catalogue.
        NotFound, IntegrityError, IncompatibleError: the export cannot be used; nothing is published.
    """
    settings = IndexSettings(recall_target, memory_budget_mb)
    export = open_export(export_folder)
    queries = held_out_queries(export, settings.seed)
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
    memory_budget_mb: int | None = None,
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
        memory_budget_mb: as in ``IndexSettings``.

    Raises:
        InvalidInput: the target, the memory budget, the queries file or the items cannot be used.
        NotFound, IntegrityError, IncompatibleError: the release or its child cannot be used; nothing is published.
        Conflict: another process rebuilds a release of this folder.
    """
    settings = IndexSettings(recall_target, memory_budget_mb)
    release = store.open(release_id)
    queries = given_queries(release, queries_file, settings.seed)
    parent = release.manifest.release_id
    with store.rebuilding():
        return _publish(release, queries, settings, store, parent, created_time, on_progress, new_items, probe)


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
        write_report(report, staging.folder)
        manifest = publish_release(
            staging, source, index=report.spec, parent=parent, created_time=created_time, probe=probe
        )
    return IndexedRelease(manifest, report, addition)
