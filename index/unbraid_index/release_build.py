"""Making releases: an export gets its index, or a release gets a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.item_change import ItemChange
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.ports import CatalogueStore
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
from unbraid_index.catalogue_changes import Folding, fold_changes
from unbraid_index.new_items import Addition, add_items
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import RecallQueries, given_queries, held_out_queries
from unbraid_index.report import IndexReport
from unbraid_index.report_files import write_report

__all__ = ["IndexedRelease", "build_release", "rebuild_release"]


@dataclass(frozen=True, slots=True)
class IndexedRelease:
    """A release that was just published, how its index came to be, and what became of the items of its source."""

    manifest: ReleaseManifest
    report: IndexReport
    addition: Addition | None
    folding: Folding | None


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """The items of the release to be: their vectors, and what was done to the items of its source."""

    vectors_ID: ItemVectors
    catalogue_sequence: int = 0
    addition: Addition | None = None
    folding: Folding | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How a release is made; ``write_items`` writes what the source does not have like this into a folder."""

    source: Export | Release
    store: ReleaseStore
    parent: str | None
    queries: RecallQueries
    settings: IndexSettings
    created_time: datetime
    on_progress: OnProgress
    write_items: Callable[[Path], _Items]
    probe: Probe | None = None


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
    plan = _Plan(
        source=export,
        store=store,
        parent=store.current_id(),
        queries=held_out_queries(export, settings.seed),
        settings=settings,
        created_time=created_time,
        on_progress=on_progress,
        write_items=partial(_with_new_items, export, new_items, 0),
    )
    return _publish(plan)


def rebuild_release(
    store: ReleaseStore,
    release_id: str | None,
    queries_file: Path | None,
    created_time: datetime,
    recall_target: float,
    on_progress: OnProgress = unwatched,
    new_items: Catalogue | None = None,
    probe: Probe | None = None,
    live_catalogue: CatalogueStore | None = None,
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
        live_catalogue: its changes since the release was built are folded in.
        memory_budget_mb: as in ``IndexSettings``.

    Raises:
        InvalidInput: the target, the memory budget, the queries file or the items cannot be used; or there are new
            items, and changes that have to be folded in before.
        NotFound, IntegrityError, IncompatibleError: the release or its child cannot be used; nothing is published.
        Conflict: another process rebuilds a release of this folder, or no item would be left.
    """
    settings = IndexSettings(recall_target, memory_budget_mb)
    release = store.open(release_id)
    with store.rebuilding():
        plan = _Plan(
            source=release,
            store=store,
            parent=release.manifest.release_id,
            queries=given_queries(release, queries_file, settings.seed),
            settings=settings,
            created_time=created_time,
            on_progress=on_progress,
            write_items=_changed_items(release, live_catalogue, new_items),
            probe=probe,
        )
        return _publish(plan)


def _changed_items(
    release: Release, live_catalogue: CatalogueStore | None, new_items: Catalogue | None
) -> Callable[[Path], _Items]:
    sequence = release.manifest.catalogue_sequence
    changes = () if live_catalogue is None else live_catalogue.changes(sequence)
    if not changes:
        return partial(_with_new_items, release, new_items, sequence)
    if new_items is not None:
        raise InvalidInput("items", "the catalogue has changed since the release; rebuild without new items before")
    return partial(_with_changes, release, changes)


def _with_changes(release: Release, changes: Sequence[ItemChange], folder: Path) -> _Items:
    vectors_ID, folding = fold_changes(release, changes, folder)
    return _Items(vectors_ID, folding.sequence, folding=folding)


def _with_new_items(source: Export | Release, new_items: Catalogue | None, sequence: int, folder: Path) -> _Items:
    if new_items is None:
        return _Items(source.item_vectors_ID, sequence)
    vectors_ID, addition = add_items(source, new_items, folder)
    return _Items(vectors_ID, sequence, addition=addition)


def _publish(plan: _Plan) -> IndexedRelease:
    with Staging(plan.store.root) as staging:
        items = plan.write_items(staging.folder)
        report = build_index(items.vectors_ID, plan.queries, staging.folder / INDEX, plan.settings, plan.on_progress)
        write_report(report, staging.folder)
        manifest = publish_release(
            staging,
            plan.source,
            index=report.spec,
            parent=plan.parent,
            created_time=plan.created_time,
            catalogue_sequence=items.catalogue_sequence,
            probe=plan.probe,
        )
    return IndexedRelease(manifest, report, items.addition, items.folding)
