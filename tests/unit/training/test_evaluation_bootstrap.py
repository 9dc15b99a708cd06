from __future__ import annotations

import numpy as np
import pytest

from unbraid_training.evaluation.bootstrap import bootstrap_means, paired_differences


def test_the_interval_of_a_large_sample_is_the_normal_one() -> None:
    value_H = np.random.default_rng(3).exponential(size=2000)
    interval = bootstrap_means({"metric": value_H}, seed=1)["metric"]
    error = value_H.std() / np.sqrt(len(value_H))
    assert interval.mean == pytest.approx(value_H.mean())
    assert interval.low == pytest.approx(value_H.mean() - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(value_H.mean() + 1.96 * error, abs=0.1 * error)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    samples = {str(trial): rng.random(150) for trial in range(200)}
    intervals = bootstrap_means(samples, seed=0)
    covered = sum(interval.low <= 0.5 <= interval.high for interval in intervals.values())
    assert 180 <= covered <= 198


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = {"metric": np.random.default_rng(5).random(50)}
    assert bootstrap_means(values, seed=1) == bootstrap_means(values, seed=1)
    assert bootstrap_means(values, seed=1) != bootstrap_means(values, seed=2)


def test_pairing_finds_a_small_gain_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(7)
    hardness_H = rng.random(300)
    baseline = {"metric": hardness_H}
    better = {"metric": hardness_H + 0.01 + rng.normal(0, 0.01, 300)}
    first, second = bootstrap_means(baseline, 1)["metric"], bootstrap_means(better, 1)["metric"]
    assert first.high > second.low
    gain = paired_differences(better, baseline, seed=1)["metric"]
    assert 0.005 < gain.low < gain.high < 0.015


def test_equal_systems_differ_by_nothing() -> None:
    values = {"metric": np.random.default_rng(7).random(40)}
    gain = paired_differences(values, values, seed=1)["metric"]
    assert (gain.mean, gain.low, gain.high) == (0.0, 0.0, 0.0)
