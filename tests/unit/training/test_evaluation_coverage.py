from __future__ import annotations

import numpy as np
import pytest

from unbraid_core.types import IntArray
from unbraid_training.evaluation.coverage import coverage_difference, coverage_interval
from unbraid_training.evaluation.metrics import coverage

ITEM_COUNT = 300


def lists(rng: np.random.Generator, exponent: float, user_count: int = 80, length: int = 10) -> IntArray:
    """Recommendation lists whose items are drawn by Zipf popularity; a larger exponent covers less."""
    log_popularity_I = -exponent * np.log(np.arange(1, ITEM_COUNT + 1))
    return np.argsort(-(log_popularity_I + rng.gumbel(size=(user_count, ITEM_COUNT))), axis=1)[:, :length]


def test_the_bounds_are_those_of_leaving_one_user_out() -> None:
    row_HR = lists(np.random.default_rng(1), 1.0)
    without_H = [coverage(np.delete(row_HR, user, axis=0), ITEM_COUNT) for user in range(len(row_HR))]
    error = np.sqrt((len(row_HR) - 1) * np.var(without_H))
    interval = coverage_interval([row_HR], ITEM_COUNT)
    assert interval.mean == coverage(row_HR, ITEM_COUNT)
    assert (interval.low, interval.high) == pytest.approx(
        (interval.mean - 1.96 * error, interval.mean + 1.96 * error), rel=1e-3
    )


def test_intervals_hold_the_truth_at_least_as_often_as_they_say() -> None:
    """The truth is what other samples of as many users cover."""
    rng = np.random.default_rng(0)
    draws = [(lists(rng, 0.9), lists(rng, 1.3)) for _ in range(200)]
    covered = np.array([[coverage(row_HR, ITEM_COUNT) for row_HR in pair] for pair in draws])
    truth, gap = covered[:, 0].mean(), (covered[:, 0] - covered[:, 1]).mean()
    alone = [coverage_interval([wide], ITEM_COUNT) for wide, _ in draws]
    differences = [coverage_difference([wide], [narrow], ITEM_COUNT) for wide, narrow in draws]
    assert sum(each.low <= truth <= each.high for each in alone) >= 188
    assert sum(each.low <= gap <= each.high for each in differences) >= 188
    assert np.mean([each.high - each.low for each in differences]) < 3 * 3.92 * (covered[:, 0] - covered[:, 1]).std()


def test_bounds_are_shares_too() -> None:
    interval = coverage_interval([np.array([[0, 1, 2], [3, 4, 5]])], 6)
    assert (interval.mean, interval.high) == (1.0, 1.0)
    one_for_all_HR = np.full((10, 3), -1)
    one_for_all_HR[0] = [0, 1, 2]
    assert coverage_interval([one_for_all_HR], 600).low == 0.0


def test_a_difference_is_paired() -> None:
    row_HR = lists(np.random.default_rng(2), 1.0)
    nothing = coverage_difference([row_HR], [row_HR], ITEM_COUNT)
    assert (nothing.mean, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_runs_are_averaged() -> None:
    runs = [lists(np.random.default_rng(seed), 1.0) for seed in (3, 4, 5)]
    interval = coverage_interval(runs, ITEM_COUNT)
    assert interval.mean == pytest.approx(np.mean([coverage(row_HR, ITEM_COUNT) for row_HR in runs]))
    widths = [each.high - each.low for each in (coverage_interval([row_HR], ITEM_COUNT) for row_HR in runs)]
    assert interval.high - interval.low < max(widths)


def test_the_empty_end_of_a_short_list_is_no_item() -> None:
    row_HR = np.array([[0, 1, -1], [1, -1, -1], [2, 3, 4]])
    only_H = np.array([1, 0, 3]) / 10
    interval = coverage_interval([row_HR], 10)
    assert interval.mean == 0.5
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(2 * only_H.var()), rel=1e-3)
