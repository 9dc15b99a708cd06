"""Tuning the index of a release anew, and measuring what else an export or a release could have."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import Export, IndexSpec, Release, ReleaseManifest, ReleaseStore, Staging, publish_release
from unbraid_core.release.layout import INDEX
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import RecallQueries, given_queries
from unbraid_index.recall import Measurement, RecallProbe
from unbraid_index.report import IndexReport, Trial
from unbraid_index.report_files import INDEX_REPORT, write_report
from unbraid_index.tuning import Tuned, Tuner

__all__ = ["TunedRelease", "bench_index", "tune_release"]


@dataclass(frozen=True, slots=True, eq=False)
class TunedRelease:
    """A release that was just published: the parts of its parent, searched with other parameters.

    Attributes:
        manifest: of the release.
        earlier: how the index of its parent is searched.
        before: the recall and speed that its parent has with the same users.
        after: its own.
        trials: every setting that was tried.
    """

    manifest: ReleaseManifest
    earlier: IndexSpec
    before: Measurement
    after: Measurement
    trials: list[Trial]


def tune_release(
    store: ReleaseStore,
    release_id: str | None,
    queries_file: Path | None,
    created_time: datetime,
    settings: IndexSettings,
    on_progress: OnProgress = unwatched,
) -> TunedRelease:
    """Find the search parameters of a release anew, and publish them with its other files as its child.

    Args:
        store: where the release is, and the new one will be.
        release_id: which one; None for the active one.
        queries_file: .npy file with held-out interests to measure on; None for item vectors.
        created_time: now, with a time zone.
        settings: the recall target; a budget changes nothing.
        on_progress: told about every step.

    Raises:
        InvalidInput: the queries file cannot be used.
        IncompatibleError: no setting of this index reaches the target.
        NotFound, IntegrityError: the release cannot be used; nothing is published.
    """
    release = store.open(release_id)
    spec, trials = release.manifest.index, list[Trial]()
    queries = given_queries(release, queries_file, settings.seed)
    searcher = FaissSearcher.open(release.path(INDEX), spec.family, spec.search_params, release.item_vectors_ID)
    tuning, held_out = RecallProbe.ask(ExactSearcher(release.item_vectors_ID), queries, on_progress).split()
    tuner = Tuner(
        family=family_named(spec.family),
        searcher=searcher,
        tuning=tuning,
        held_out=held_out,
        recall_target=settings.recall_target,
        fastest_ms=float("inf"),
        trials=trials,
        on_progress=on_progress,
    )
    tuned = tuner.tune()
    if tuned is None:
        best = max(trial.recall for trial in trials)
        raise IncompatibleError(
            f"{release.manifest.release_id}: {spec.family} reaches merged recall {best:.4f} at best, less than the "
            f"target {settings.recall_target} assures; build the index again with: unbraid index rebuild"
        )
    following = spec.model_copy(
        update={
            "search_params": tuned.trial.search_params,
            "recall_at": int(held_out.quota_UK.sum(axis=1).max()),
            "recall": tuned.held_out.recall,
            "recall_lower_bound": tuned.held_out.lower_bound,
            "query_source": queries.source,
        }
    )
    with Staging(store.root) as staging:
        if INDEX_REPORT in release.manifest.files:
            write_report(_retold(release, following, tuned, trials, settings), staging.folder)
        manifest = publish_release(
            staging,
            release,
            index=following,
            parent=release.manifest.release_id,
            created_time=created_time,
            catalogue_sequence=release.manifest.catalogue_sequence,
        )
    return TunedRelease(manifest, spec, held_out.measure(searcher.search), tuned.held_out, trials)


def _retold(
    release: Release, spec: IndexSpec, tuned: Tuned, trials: list[Trial], settings: IndexSettings
) -> IndexReport:
    """The report of the release, with the setting that its index is searched with from now on."""
    report = IndexReport.model_validate_json(release.path(INDEX_REPORT).read_bytes())
    entries = [
        entry.model_copy(update={"tuned": tuned.trial}) if entry.family == spec.family else entry
        for entry in report.entries
    ]
    measured = tuned.held_out
    return report.model_copy(
        update={
            "spec": spec,
            "reason": "tuned again",
            "recall_target": settings.recall_target,
            "recall_p05": measured.recall_p05,
            "recall_min": measured.recall_min,
            "p50_ms": measured.p50_ms,
            "entries": entries,
            "trials": [*(trial for trial in report.trials if trial.family != spec.family), *trials],
        }
    )


def bench_index(
    source: Export | Release, queries: RecallQueries, settings: IndexSettings, on_progress: OnProgress = unwatched
) -> IndexReport:
    """Let the families compete over the vectors of an export or a release, and publish nothing.

    Raises:
        InvalidInput, IncompatibleError: as ``build_index``.
    """
    with tempfile.TemporaryDirectory(prefix="unbraid-bench-") as folder:
        return build_index(source.item_vectors_ID, queries, Path(folder) / INDEX, settings, on_progress)
