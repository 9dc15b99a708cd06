"""Building an index: choose a family, tune it to a recall target, measure it on queries that tuned nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import faiss

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts, IndexSpec
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import FLAT_LIMIT, Family, flat_index, ivf_index
from unbraid_index.filter_costs import measure_filter_costs
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import RecallQueries
from unbraid_index.recall import RECALL_AT, Measurement, RecallProbe
from unbraid_index.report import IndexReport, Trial
from unbraid_index.tuning import NprobeTuner

__all__ = ["IndexSettings", "build_index"]


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What an index is built for.

    Attributes:
        recall_target: mean recall at 200 (or at the number of items, where that is less) on held-out queries.
        queries_per_call: how many queries a call searches at once; the number of interests of the encoder.
        seed: of the centroids and of the samples.

    Raises:
        InvalidInput: the target is not above 0 and at most 1.
    """

    recall_target: float = 0.99
    queries_per_call: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.recall_target <= 1.0:
            raise InvalidInput("recall_target", f"{self.recall_target} is not above 0 and at most 1; try 0.99")


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    family: Family
    index: faiss.Index
    search_params: dict[str, int]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Build:
    item_vectors_ID: ItemVectors
    tuning: RecallProbe
    held_out: RecallProbe
    settings: IndexSettings
    on_progress: OnProgress
    trials: list[Trial] = field(default_factory=list)

    def candidates(self) -> Iterator[_Candidate]:
        """The cheapest first; Flat is exact, and so the last resort."""
        item_count = len(self.item_vectors_ID)
        if item_count <= FLAT_LIMIT:
            reason = f"{item_count:,} items are at most {FLAT_LIMIT:,}: exhaustive search is fast enough"
            yield _Candidate("flat", flat_index(self.item_vectors_ID, self.on_progress), {}, reason)
            return
        index = ivf_index(self.item_vectors_ID, self.settings.seed, self.on_progress)
        tuner = NprobeTuner(index, self.tuning, self.settings.recall_target, self.on_progress, self.trials)
        nprobe = tuner.fewest_lists()
        if nprobe is not None:
            # By chance the tuning queries can be easier than the held-out ones; doubling makes up for more than that.
            for lists in sorted({nprobe, min(2 * nprobe, tuner.most_lists)}):
                reason = f"{lists} of {index.nlist} lists assure the target"
                yield _Candidate("ivf_flat", index, {"nprobe": lists}, reason)
        reason = "an IVF needs so many lists for the target that exhaustive search costs less"
        yield _Candidate("flat", flat_index(self.item_vectors_ID, self.on_progress), {}, reason)


def build_index(
    item_vectors_ID: ItemVectors,
    queries: RecallQueries,
    path: Path,
    settings: IndexSettings,
    on_progress: OnProgress = unwatched,
) -> IndexReport:
    """Write the cheapest index that reaches the recall target; the same input gives the same index.

    Half of the queries tune the index, the recall that is reported comes from the other half, searched in the file
    as it was written.

    Args:
        item_vectors_ID: unit vectors, at least one item.
        queries: unit vectors; at least one, and many where the index is an IVF that has to be tuned.
        path: the file to write.
        settings: target, seed.
        on_progress: told about every step.

    Raises:
        InvalidInput: a query is not finite, or of another dimension than the items.
        IncompatibleError: not even exhaustive search reaches the target, so the vectors are not of unit length.
    """
    started_s = time.perf_counter()
    recall_at = min(RECALL_AT, len(item_vectors_ID))
    oracle = ExactSearcher(item_vectors_ID)
    probe = RecallProbe.ask(oracle, queries.vectors_QD, recall_at, settings.queries_per_call, on_progress)
    build = _Build(item_vectors_ID, *probe.split(), settings, on_progress)
    reached = 0.0
    for candidate in build.candidates():
        faiss.write_index(candidate.index, str(path))
        searcher = FaissSearcher.open(path, candidate.family, candidate.search_params, item_vectors_ID)
        measured = build.held_out.measure(searcher.search)
        reached = measured.recall
        if reached >= settings.recall_target:
            costs = _filter_costs(build, candidate.index)
            return _report(build, candidate, costs, measured, queries, path, time.perf_counter() - started_s)
    raise IncompatibleError(
        f"exhaustive search reaches recall@{recall_at} {reached:.4f}, less than the target {settings.recall_target}: "
        "the scores are too large for float32; are the item vectors and queries of unit length?"
    )


def _filter_costs(build: _Build, index: faiss.Index) -> FilterCosts | None:
    return measure_filter_costs(
        index,
        build.item_vectors_ID,
        build.tuning.query_QD,
        queries_per_call=build.settings.queries_per_call,
        count=build.tuning.recall_at,
        recall_target=build.settings.recall_target,
        seed=build.settings.seed,
        on_progress=build.on_progress,
    )


def _report(
    build: _Build,
    candidate: _Candidate,
    filter_costs: FilterCosts | None,
    measured: Measurement,
    queries: RecallQueries,
    path: Path,
    build_s: float,
) -> IndexReport:
    spec = IndexSpec(
        family=candidate.family,
        search_params=candidate.search_params,
        recall_at=build.held_out.recall_at,
        recall=measured.recall,
        query_source=queries.source,
        filter_costs=filter_costs,
    )
    return IndexReport(
        spec=spec,
        reason=candidate.reason,
        recall_target=build.settings.recall_target,
        recall_p05=measured.recall_p05,
        recall_min=measured.recall_min,
        p50_ms=measured.p50_ms,
        queries_per_call=build.settings.queries_per_call,
        trials=build.trials,
        tuning_query_count=len(build.tuning.query_QD),
        held_out_query_count=len(build.held_out.query_QD),
        item_count=len(build.item_vectors_ID),
        dimension=build.item_vectors_ID.shape[1],
        list_count=candidate.index.nlist if isinstance(candidate.index, faiss.IndexIVF) else None,
        seed=build.settings.seed,
        file_size_bytes=path.stat().st_size,
        build_s=build_s,
        openmp_thread_count=faiss.omp_get_max_threads(),
        faiss_version=faiss.__version__,
    )
