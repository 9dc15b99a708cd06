"""Who wants to know how training goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

__all__ = ["EpochReport", "Silence", "TrainingObserver", "best_epoch"]


class EpochReport(BaseModel):
    """One epoch, as it stands in metrics.jsonl; ``validation`` is empty while the final model is trained.

    ``effective_events``, ``usage_entropy`` and ``cosine`` tell whether interests collapse: see ``Separation``.
    """

    phase: str
    epoch: int
    loss: float
    routing_information: float
    effective_events: float
    usage_entropy: float
    cosine: float
    half_life_days: list[float]
    restlessness: float
    validation: dict[str, float]


def best_epoch(reports: Sequence[EpochReport]) -> int:
    """How many epochs gave the best validation NDCG@50; the fewest where equal, 0 before the first."""
    ndcg_E = [report.validation["ndcg@50"] for report in reports]
    return 1 + ndcg_E.index(max(ndcg_E)) if ndcg_E else 0


class TrainingObserver(Protocol):
    """Is told what begins and what was done; shows it as it likes."""

    def begin(self, title: str, step_count: int, done_count: int) -> None:
        """A stretch of work begins, some of which may have been done by an earlier process."""
        ...

    def advance(self) -> None:
        """One step of the stretch is done."""
        ...

    def epoch(self, report: EpochReport) -> None:
        """An epoch is over."""
        ...


class Silence:
    """A TrainingObserver that does nothing."""

    def begin(self, title: str, step_count: int, done_count: int) -> None:
        """Do nothing."""

    def advance(self) -> None:
        """Do nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Do nothing."""
