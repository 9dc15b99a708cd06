"""Ranking metrics per user: Recall, HR and NDCG at 20 and 50, and the coverage of the catalogue.

With T the targets of a user and rel(r) = 1 where the item at rank r is a target, else 0:

    Recall@N = sum_{r<=N} rel(r) / |T|            HR@N = 1 if any rel(r) = 1, else 0
    NDCG@N   = DCG@N / IDCG@N                     DCG@N = sum_{r<=N} rel(r) / log2(r + 1)

IDCG@N is the DCG of min(N, |T|) targets at the first ranks (Järvelin and Kekäläinen 2002, binary gain), so a perfect
ranking scores 1 even where a user has more targets than ranks, and a missed target always costs.

Shapes: H evaluated users, R ranks, I items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unbraid_core.types import BoolArray, DoubleArray, IntArray

__all__ = ["COVERAGE_CUTOFF", "CUTOFFS", "METRICS", "RANK_COUNT", "coverage", "user_metrics"]

CUTOFFS = (20, 50)
RANK_COUNT = max(CUTOFFS)
COVERAGE_CUTOFF = 50
METRICS = tuple(f"{name}@{cutoff}" for cutoff in CUTOFFS for name in ("recall", "hr", "ndcg"))


def user_metrics(row_HR: IntArray, targets: Sequence[IntArray], item_count: int) -> dict[str, DoubleArray]:
    """Every metric of METRICS for every user: float64 [H] each.

    Args:
        row_HR: rankings [H, RANK_COUNT], best first, no row twice for one user, -1 after the end of a short one.
        targets: [H] arrays of distinct rows, at least one for each user.
        item_count: I, larger than every row.
    """
    hit_HR = _hits(row_HR, targets, item_count)
    target_count_H = np.array([len(target_T) for target_T in targets])
    discount_R = 1.0 / np.log2(np.arange(2, RANK_COUNT + 2))
    ideal_R = np.cumsum(discount_R)
    metrics = {}
    for cutoff in CUTOFFS:
        top_HR = hit_HR[:, :cutoff]
        metrics[f"recall@{cutoff}"] = top_HR.sum(axis=1) / target_count_H
        metrics[f"hr@{cutoff}"] = top_HR.any(axis=1).astype(np.float64)
        ideal_H = ideal_R[np.minimum(cutoff, target_count_H) - 1]
        metrics[f"ndcg@{cutoff}"] = top_HR @ discount_R[:cutoff] / ideal_H
    return metrics


def coverage(row_HR: IntArray, item_count: int) -> float:
    """The share of the catalogue that is recommended to anybody within the first COVERAGE_CUTOFF ranks."""
    row_N = row_HR[:, :COVERAGE_CUTOFF].ravel()
    return len(np.unique(row_N[row_N >= 0])) / item_count


def _hits(row_HR: IntArray, targets: Sequence[IntArray], item_count: int) -> BoolArray:
    """Where a ranking holds a target of its user: bool [H, R]; a pair of user and row becomes one number."""
    target_user_T = np.repeat(np.arange(len(targets)), [len(target_T) for target_T in targets])
    target_key_T = target_user_T * item_count + np.concatenate(targets)
    key_HR = np.arange(len(row_HR))[:, None] * item_count + row_HR
    return np.isin(key_HR, target_key_T) & (row_HR >= 0)
