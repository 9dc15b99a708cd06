"""A system next to its twin on the same users: what it finds, how much of the catalogue it shows, how varied its lists.

Both can be trained with several seeds. The values of a user are then means over the runs, and the intervals are those
of other users: paired bootstrap for user means, jackknife for coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.evaluation.bootstrap import Interval, bootstrap_means, paired_differences
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.coverage import coverage_difference, coverage_interval
from unbraid_training.evaluation.diversity import intra_list_diversity
from unbraid_training.evaluation.item_space import ItemSpace
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF, user_metrics

__all__ = ["Contrast", "contrast", "contrast_rows"]

SHOWN_METRICS = ("recall@50", "ndcg@50")


@dataclass(frozen=True, slots=True)
class Contrast:
    """One measure of a system and of its twin, and how much higher that of the system is."""

    measure: str
    system: Interval
    twin: Interval
    difference: Interval


def contrast(
    cases: Cases, system: Sequence[IntArray], twin: Sequence[IntArray], spaces: Sequence[ItemSpace], seed: int
) -> list[Contrast]:
    """Compare the runs of two systems.

    Args:
        cases: users and targets.
        system: rankings [H, RANK_COUNT] of each run, -1 after the end of a short one.
        twin: likewise.
        spaces: to compare the items of a list in.
        seed: of the bootstrap.
    """
    ours, theirs = _user_values(cases, system, spaces), _user_values(cases, twin, spaces)
    means, twin_means = bootstrap_means(ours, seed), bootstrap_means(theirs, seed)
    differences = paired_differences(ours, theirs, seed)
    item_count = len(cases.catalogue)
    covered = Contrast(
        f"coverage@{COVERAGE_CUTOFF}",
        coverage_interval(system, item_count),
        coverage_interval(twin, item_count),
        coverage_difference(system, twin, item_count),
    )
    users = [Contrast(name, means[name], twin_means[name], differences[name]) for name in ours]
    return [*users[: len(SHOWN_METRICS)], covered, *users[len(SHOWN_METRICS) :]]


def contrast_rows(contrasts: Sequence[Contrast], system: str, twin: str) -> list[list[str]]:
    """Cells of a table: a measure a line, in both systems and the difference; the first line is the head."""
    body = [[each.measure, each.system.text(4), each.twin.text(4), each.difference.text(4, "+")] for each in contrasts]
    return [["", system, twin, "difference"], *body]


def _user_values(cases: Cases, runs: Sequence[IntArray], spaces: Sequence[ItemSpace]) -> dict[str, DoubleArray]:
    """Every measure that is a mean over users, as means over the runs: float64 [H] each."""
    metrics = [user_metrics(row_HR, cases.targets, len(cases.catalogue)) for row_HR in runs]
    values = {name: np.mean([metric[name] for metric in metrics], axis=0) for name in SHOWN_METRICS}
    for space in spaces:
        name = f"diversity@{COVERAGE_CUTOFF} in {space.name}"
        values[name] = np.mean([intra_list_diversity(row_HR, space) for row_HR in runs], axis=0)
    return values
