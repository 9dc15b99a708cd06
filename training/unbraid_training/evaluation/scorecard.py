"""How well a system did for every single user: what means, intervals and paired comparisons are made of."""

from __future__ import annotations

from dataclasses import dataclass

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.evaluation.bootstrap import Interval, bootstrap_means, paired_differences
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.metrics import coverage, user_metrics

__all__ = ["Scorecard"]


@dataclass(frozen=True, slots=True, eq=False)
class Scorecard:
    """The metrics of one system for the H users of some cases, in their order.

    Attributes:
        system: its name.
        metrics: every metric of METRICS: float64 [H] each.
        coverage: share of the catalogue that is recommended to anybody.
    """

    system: str
    metrics: dict[str, DoubleArray]
    coverage: float

    @classmethod
    def of(cls, system: str, row_HR: IntArray, cases: Cases) -> Scorecard:
        """Score the rankings [H, RANK_COUNT] of a system, -1 after the end of a short one."""
        item_count = len(cases.catalogue)
        return cls(system, user_metrics(row_HR, cases.targets, item_count), coverage(row_HR, item_count))

    def means(self, seed: int) -> dict[str, Interval]:
        """User means with intervals."""
        return bootstrap_means(self.metrics, seed)

    def gains(self, over: Scorecard, seed: int) -> dict[str, Interval]:
        """User means of this system less those of another on the same users, with paired intervals."""
        return paired_differences(self.metrics, over.metrics, seed)
