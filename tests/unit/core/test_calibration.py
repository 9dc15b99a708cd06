"""Probabilities of scores, and the threshold on them, through the pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.calibration import Calibration
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import History, Profile, Query

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

CALIBRATION = Calibration(slope=0.8, intercept=-2.0)


@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_probability_is_the_logistic_function_and_keeps_the_order(scores: list[float]) -> None:
    score_R = np.sort(np.array(scores))
    probability_R = CALIBRATION.probability(score_R)
    assert ((probability_R >= 0) & (probability_R <= 1)).all()
    assert (np.diff(probability_R) >= 0).all()
    near_R = np.abs(score_R) < 30
    expected_R = 1 / (1 + np.exp(-(0.8 * score_R[near_R] - 2.0)))
    np.testing.assert_allclose(probability_R[near_R], expected_R, rtol=1e-9, atol=1e-12)


@pytest.fixture
def calibrated(make_world: MakeWorld) -> tuple[Pipeline, Query]:
    """A pipeline whose formula has probabilities, and a query with a history."""
    pipeline, queries = make_world(3, 10)
    query = next(query for query in queries if len(query.history) > 0)
    return replace(pipeline, calibrations={Profile.FORMULA: CALIBRATION}), replace(query, limit=20)


def test_every_item_has_the_probability_of_its_score(calibrated: tuple[Pipeline, Query]) -> None:
    pipeline, query = calibrated
    [ranking] = pipeline.recommend([query])
    assert ranking.probability_R is not None
    np.testing.assert_array_equal(ranking.probability_R, CALIBRATION.probability(ranking.score_R))


def test_a_threshold_leaves_out_what_is_less_likely_and_counts_it(calibrated: tuple[Pipeline, Query]) -> None:
    pipeline, query = calibrated
    [everything] = pipeline.recommend([replace(query, limit=10_000)])
    assert everything.probability_R is not None
    threshold = float(np.median(everything.probability_R))
    [likely] = pipeline.recommend([replace(query, limit=10_000, min_probability=threshold)])
    kept_R = everything.probability_R >= threshold
    assert likely.row_R.tolist() == everything.row_R[kept_R].tolist()
    assert likely.removed["improbable"] == int((~kept_R).sum())


def test_where_nothing_is_known_a_threshold_leaves_nothing(calibrated: tuple[Pipeline, Query]) -> None:
    pipeline, query = calibrated
    nobody = replace(query, history=History.empty())
    [unasked, asked] = pipeline.recommend([nobody, replace(nobody, min_probability=0.1)])
    assert len(unasked.row_R) > 0
    assert unasked.probability_R is None
    assert len(asked.row_R) == 0


def test_without_a_calibration_there_are_no_probabilities(make_world: MakeWorld) -> None:
    pipeline, queries = make_world(3, 10)
    assert all(ranking.probability_R is None for ranking in pipeline.recommend(queries))
