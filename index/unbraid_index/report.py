"""The index report: what was tried, what was chosen and why. Kept in a release as ``reports/index.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from unbraid_core.release import IndexSpec

__all__ = ["Entry", "IndexReport", "Trial"]

Outcome = Literal["chosen", "slower", "misses the target", "not tried"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Record):
    """One setting that was measured while tuning; ``p50_ms`` is the median of one call for one user."""

    family: str
    search_params: dict[str, int]
    recall: float
    lower_bound: float
    p50_ms: float


class Entry(_Record):
    """What became of one family: its fastest setting that reaches the target on the held-out users, if there is one.

    ``size_bytes`` is what it takes in memory beside the item vectors, estimated where it was not built.
    """

    family: str
    factory: str
    outcome: Outcome
    reason: str
    size_bytes: int
    mapped: bool
    build_s: float | None = None
    tuned: Trial | None = None


class IndexReport(_Record):
    """How an index came to be.

    ``spec`` holds the recall of the held-out users, by whom no setting was chosen; ``trials`` were measured with the
    tuning users. Recall is merged: of the union of the lists of a user's interests, cut to quotas. A call searches for
    the ``interest_count`` interests of one user.
    """

    spec: IndexSpec
    reason: str
    recall_target: float
    memory_budget_mb: int | None
    recall_p05: float
    recall_min: float
    p50_ms: float
    interest_count: int
    entries: list[Entry]
    trials: list[Trial]
    tuning_user_count: int
    held_out_user_count: int
    item_count: int
    dimension: int
    norm_spread: float
    seed: int
    file_size_bytes: int
    build_s: float
    openmp_thread_count: int
    faiss_version: str
