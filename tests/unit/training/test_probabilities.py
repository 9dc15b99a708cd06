"""The quality of probabilities against counting pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_training.calibration import fit_calibration
from unbraid_training.evaluation.probabilities import ProbabilityQuality


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_auc_brier_and_accuracy_are_those_of_their_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 60))
    probability_N = rng.choice(np.linspace(0, 1, 7), count)  # few values, so that there are ties
    taken_N = rng.random(count) < 0.4
    quality = ProbabilityQuality.of(probability_N, taken_N)
    wins = [
        1.0 if yes > no else 0.5 if yes == no else 0.0
        for yes in probability_N[taken_N]
        for no in probability_N[~taken_N]
    ]
    if wins:
        assert quality.auc == pytest.approx(np.mean(wins))
    else:
        assert math.isnan(quality.auc)
    assert quality.brier == pytest.approx(np.mean([(p - y) ** 2 for p, y in zip(probability_N, taken_N, strict=True)]))
    right = [(p > 0.5) == y for p, y in zip(probability_N, taken_N, strict=True)]
    assert quality.accuracy == pytest.approx(np.mean(right))


def test_true_probabilities_have_hardly_an_error_and_wrong_ones_have_theirs() -> None:
    rng = np.random.default_rng(3)
    probability_N = rng.uniform(0, 1, 60_000)
    taken_N = rng.random(60_000) < probability_N
    honest = ProbabilityQuality.of(probability_N, taken_N)
    assert honest.calibration_error < 0.01
    assert [row.expected for row in honest.thresholds] == pytest.approx(
        [row.found for row in honest.thresholds], abs=0.01
    )
    boastful = ProbabilityQuality.of(np.minimum(probability_N + 0.2, 1.0), taken_N)
    assert boastful.calibration_error == pytest.approx(0.18, abs=0.02)  # 0.2, less what does not fit below 1
    assert boastful.auc == pytest.approx(honest.auc, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_fitted_calibration_finds_the_slope_and_intercept_that_made_the_outcomes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slope, intercept = rng.uniform(0.3, 2.0), rng.uniform(-3.0, 1.0)
    score_N = rng.normal(0.0, 2.0, 40_000)
    taken_N = rng.random(40_000) < 1 / (1 + np.exp(-(slope * score_N + intercept)))
    fitted = fit_calibration(score_N, taken_N)
    assert fitted.slope == pytest.approx(slope, rel=0.1)
    assert fitted.intercept == pytest.approx(intercept, abs=0.15)
    quality = ProbabilityQuality.of(fitted.probability(score_N), taken_N)
    assert quality.calibration_error < 0.015


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_calibration_bends_where_scores_say_less_about_one_kind_of_items(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score_N = rng.normal(0.0, 2.0, 40_000)
    true_N = 1 / (1 + np.exp(2.0 - np.minimum(score_N, 0.0) - 0.1 * np.maximum(score_N, 0.0)))
    fitted = fit_calibration(score_N, rng.random(40_000) < true_N)
    assert fitted.bend < 0.0
    assert np.abs(fitted.probability(score_N) - true_N).mean() < 0.01
    rising_N = fitted.probability(np.sort(score_N))
    assert (np.diff(rising_N) >= 0.0).all()


def test_a_calibration_never_falls() -> None:
    score_N = np.repeat([0.0, 1.0, 2.0], 100)
    fitted = fit_calibration(score_N, score_N == 0.0)
    assert fitted.probability(np.array([0.0, 1.0, 2.0])) == pytest.approx([1 / 3] * 3, abs=0.01)
