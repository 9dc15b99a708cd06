"""The index report: what was tried, what was chosen and why. Kept in a release as ``reports/index.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from unbraid_core.release import IndexSpec
from unbraid_index.family import Family

__all__ = ["IndexReport", "Trial"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Record):
    """One setting that was measured while tuning; ``p50_ms`` is the median of one call."""

    family: Family
    search_params: dict[str, int]
    recall: float
    assured_recall: float
    p50_ms: float


class IndexReport(_Record):
    """How an index came to be.

    ``spec`` holds the recall on the held-out queries, which no setting was chosen by; ``trials`` were measured on the
    tuning queries. A call searches ``queries_per_call`` queries at once.
    """

    spec: IndexSpec
    reason: str
    recall_target: float
    recall_p05: float
    recall_min: float
    p50_ms: float
    queries_per_call: int
    trials: list[Trial]
    tuning_query_count: int
    held_out_query_count: int
    item_count: int
    dimension: int
    list_count: int | None
    seed: int
    file_size_bytes: int
    build_s: float
    openmp_thread_count: int
    faiss_version: str
