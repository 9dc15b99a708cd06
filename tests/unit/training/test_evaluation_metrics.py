from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import R, Success, nDCG

from unbraid_core.types import IntArray
from unbraid_training.evaluation.metrics import METRICS, RANK_COUNT, coverage, user_metrics

MEASURES = {
    "recall@20": R @ 20,
    "hr@20": Success @ 20,
    "ndcg@20": nDCG @ 20,
    "recall@50": R @ 50,
    "hr@50": Success @ 50,
    "ndcg@50": nDCG @ 50,
}


def second_opinion(row_HR: IntArray, targets: list[IntArray]) -> dict[str, list[float]]:
    """The same metrics by ir_measures, user by user."""
    run = {
        str(user): {str(row): float(-rank) for rank, row in enumerate(row_R) if row >= 0}
        for user, row_R in enumerate(row_HR)
    }
    qrels = {str(user): {str(row): 1 for row in target_T} for user, target_T in enumerate(targets)}
    values: dict[str, list[float]] = {name: [0.0] * len(targets) for name in METRICS}
    name_of = {measure: name for name, measure in MEASURES.items()}
    for metric in ir_measures.iter_calc(list(MEASURES.values()), qrels, run):
        values[name_of[metric.measure]][int(metric.query_id)] = float(metric.value)
    return values


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), item_count=st.integers(60, 400), user_count=st.integers(1, 12))
def test_metrics_equal_ir_measures(seed: int, item_count: int, user_count: int) -> None:
    """Random rankings, some shorter than 50, of users with one target up to far more targets than ranks."""
    rng = np.random.default_rng(seed)
    row_HR = np.full((user_count, RANK_COUNT), -1, np.int64)
    for row_R in row_HR:
        length = rng.integers(0, RANK_COUNT + 1)
        row_R[:length] = rng.permutation(item_count)[:length]
    targets = [rng.permutation(item_count)[: rng.integers(1, item_count + 1)] for _ in range(user_count)]
    ours = user_metrics(row_HR, targets, item_count)
    assert tuple(ours) == METRICS
    for name, theirs in second_opinion(row_HR, targets).items():
        np.testing.assert_allclose(ours[name], theirs, atol=1e-9, err_msg=name)


def test_a_perfect_ranking_scores_one_even_with_more_targets_than_ranks() -> None:
    targets = [np.arange(80)]
    metrics = user_metrics(np.arange(RANK_COUNT)[None, :], targets, 100)
    assert metrics["ndcg@20"][0] == pytest.approx(1.0)
    assert metrics["ndcg@50"][0] == pytest.approx(1.0)
    assert metrics["recall@20"][0] == pytest.approx(20 / 80)


def test_only_rank_21_is_right() -> None:
    metrics = user_metrics(np.arange(RANK_COUNT)[None, :], [np.array([20])], 100)
    assert {name: float(value_H[0]) for name, value_H in metrics.items()} == pytest.approx(
        {"recall@20": 0, "hr@20": 0, "ndcg@20": 0, "recall@50": 1, "hr@50": 1, "ndcg@50": 1 / np.log2(22)}
    )


def test_a_users_targets_do_not_count_for_another() -> None:
    row_HR = np.full((2, RANK_COUNT), -1, np.int64)
    row_HR[0, 0], row_HR[1, 0] = 99, 0
    metrics = user_metrics(row_HR, [np.array([0]), np.array([99])], 100)
    assert metrics["hr@50"].tolist() == [0.0, 0.0]


def test_coverage_counts_distinct_recommended_items() -> None:
    row_HR = np.full((2, RANK_COUNT), -1, np.int64)
    row_HR[0, :3] = [4, 7, 9]
    row_HR[1, :2] = [7, 1]
    assert coverage(row_HR, 10) == pytest.approx(0.4)
