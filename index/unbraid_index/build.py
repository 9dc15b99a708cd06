"""Building an index: the family and setting that search fastest among those that find enough."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCodes, FilterCosts, IndexSpec
from unbraid_index.contest import Champion, Contest
from unbraid_index.exact import ExactSearcher
from unbraid_index.family import FAMILIES
from unbraid_index.filter_cases import FilterCases
from unbraid_index.filter_codes import measure_filter_codes
from unbraid_index.filter_costs import measure_filter_costs
from unbraid_index.progress import OnProgress, unwatched
from unbraid_index.queries import RecallQueries
from unbraid_index.recall import RecallProbe
from unbraid_index.report import IndexReport

__all__ = ["IndexSettings", "build_index"]

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What an index is built for.

    Attributes:
        recall_target: what the 95% lower bound of merged recall has to reach.
        memory_budget_mb: how many MB the index may take in memory beside the item vectors, None for any number.
        seed: of the centroids and of the samples.

    Raises:
        InvalidInput: the target is not above 0 and at most 1, or the budget not above 0.
    """

    recall_target: float = 0.99
    memory_budget_mb: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.recall_target <= 1.0:
            raise InvalidInput("recall_target", f"{self.recall_target} is not above 0 and at most 1; try 0.99")
        if self.memory_budget_mb is not None and self.memory_budget_mb <= 0:
            raise InvalidInput("memory_budget_mb", f"{self.memory_budget_mb} is not above 0")

    @property
    def memory_budget_bytes(self) -> int | None:
        """The budget in bytes."""
        return None if self.memory_budget_mb is None else self.memory_budget_mb * 1_000_000


def build_index(
    item_vectors_ID: ItemVectors,
    queries: RecallQueries,
    path: Path,
    settings: IndexSettings,
    on_progress: OnProgress = unwatched,
) -> IndexReport:
    """Write the index that searches fastest among those that reach the recall target and fit the budget.

    Half of the users tune each family, the recall that is reported comes from the other half, searched in the file
    as it was written. A family gives the same index for the same input; which family is fastest is a measurement.

    Args:
        item_vectors_ID: unit vectors, at least one item.
        queries: of at least one user, and of many where an index has to be tuned.
        path: the file to write.
        settings: target, budget, seed.
        on_progress: told about every step.

    Raises:
        InvalidInput: a query is not finite, or of another dimension than the items, or nothing fits the budget.
        IncompatibleError: no family that fits the budget reaches the target.
    """
    started_s = time.perf_counter()
    _check_budget(item_vectors_ID, settings)
    probe = RecallProbe.ask(ExactSearcher(item_vectors_ID), queries, on_progress)
    tuning, held_out = probe.split()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="index-") as folder:
        contest = Contest(
            item_vectors_ID=item_vectors_ID,
            tuning=tuning,
            held_out=held_out,
            recall_target=settings.recall_target,
            memory_budget_bytes=settings.memory_budget_bytes,
            norm_spread=_norm_spread(item_vectors_ID),
            seed=settings.seed,
            folder=Path(folder),
            on_progress=on_progress,
        )
        champion = contest.run()
        if champion is None:
            raise IncompatibleError(_failure(contest))
        champion.path.replace(path)
    return _report(contest, champion, queries, settings, path, time.perf_counter() - started_s)


def _check_budget(item_vectors_ID: ItemVectors, settings: IndexSettings) -> None:
    smallest = min(family.size_bytes(*item_vectors_ID.shape) for family in FAMILIES)
    budget = settings.memory_budget_bytes
    if budget is not None and budget < smallest:
        raise InvalidInput(
            "memory_budget_mb",
            f"{settings.memory_budget_mb} MB hold no index over {len(item_vectors_ID):,} items of "
            f"{item_vectors_ID.shape[1]} dimensions; the smallest takes {smallest / 1e6:,.1f}",
        )


def _norm_spread(item_vectors_ID: ItemVectors) -> float:
    """The norm of the longest vector over that of the shortest."""
    blocks = (item_vectors_ID[start : start + ROWS_AT_ONCE] for start in range(0, len(item_vectors_ID), ROWS_AT_ONCE))
    norms = [np.linalg.norm(block_ND, axis=1) for block_ND in blocks]
    return float(max(norm_N.max() for norm_N in norms) / min(norm_N.min() for norm_N in norms))


def _failure(contest: Contest) -> str:
    best = max(contest.trials, key=lambda trial: trial.recall)
    return (
        f"{best.family} comes nearest with merged recall {best.recall:.4f}, at least {best.lower_bound:.4f}, less than "
        f"the target {contest.recall_target}; allow more memory or a lower recall"
    )


def _measured_with_filters(contest: Contest, champion: Champion) -> dict[str, FilterCosts | FilterCodes | None]:
    """The fields of the spec that say how filters are searched with; none where there are too few queries."""
    vectors_UKD, quota_UK = contest.tuning.vectors_UKD, contest.tuning.quota_UK
    cases = FilterCases.of(
        contest.item_vectors_ID,
        vectors_UKD.reshape(-1, vectors_UKD.shape[2]),
        queries_per_call=vectors_UKD.shape[1],
        count=int(quota_UK.max()),
        seed=contest.seed,
        on_progress=contest.on_progress,
    )
    if cases is None:
        return {}
    items, target = contest.item_vectors_ID, contest.recall_target
    return {
        "filter_costs": measure_filter_costs(champion.searcher.index, items, cases, target),
        "filter_codes": measure_filter_codes(items, cases, target),
    }


def _report(
    contest: Contest,
    champion: Champion,
    queries: RecallQueries,
    settings: IndexSettings,
    path: Path,
    build_s: float,
) -> IndexReport:
    held_out, (item_count, dimension) = champion.tuned.held_out, contest.item_vectors_ID.shape
    spec = IndexSpec(
        family=champion.family.name,
        factory=champion.family.factory_of(item_count, dimension),
        search_params=champion.tuned.trial.search_params,
        recall_at=int(contest.held_out.quota_UK.sum(axis=1).max()),
        recall=held_out.recall,
        recall_lower_bound=held_out.lower_bound,
        query_source=queries.source,
    ).model_copy(update=_measured_with_filters(contest, champion))
    return IndexReport(
        spec=spec,
        reason=f"the fastest of {sum(entry.tuned is not None for entry in contest.entries.values())} that reach it",
        recall_target=settings.recall_target,
        memory_budget_mb=settings.memory_budget_mb,
        recall_p05=held_out.recall_p05,
        recall_min=held_out.recall_min,
        p50_ms=held_out.p50_ms,
        interest_count=contest.held_out.quota_UK.shape[1],
        entries=list(contest.entries.values()),
        trials=contest.trials,
        tuning_user_count=contest.tuning.user_count,
        held_out_user_count=contest.held_out.user_count,
        item_count=item_count,
        dimension=dimension,
        norm_spread=contest.norm_spread,
        seed=settings.seed,
        file_size_bytes=path.stat().st_size,
        build_s=build_s,
        openmp_thread_count=faiss.omp_get_max_threads(),
        faiss_version=faiss.__version__,
    )
