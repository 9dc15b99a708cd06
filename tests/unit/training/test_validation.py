"""Validation by the serving pipeline, and the fit of the score."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import Query
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.item_statistics import log_popularity
from unbraid_training.score_fit import FIT_STEP_COUNT
from unbraid_training.validation import Validation, first_scoring, model_pipeline


def test_a_fitted_score_is_never_worse_than_the_first(
    tiny_checkpoint: Checkpoint, tiny_dataset: Dataset, tiny_config: TrainConfig
) -> None:
    validation = Validation(LastEvents(5).apply(tiny_dataset), tiny_config)
    steps: Counter[str] = Counter()
    fitted = validation.fit_scoring(tiny_checkpoint.model, lambda: steps.update(["step"]))
    assert steps["step"] == FIT_STEP_COUNT
    first = validation.score(tiny_checkpoint.model, first_scoring(tiny_config))
    assert validation.score(tiny_checkpoint.model, fitted)["ndcg@50"] >= first["ndcg@50"]


def test_a_validation_score_is_that_of_the_answers_of_the_pipeline(
    tiny_checkpoint: Checkpoint, tiny_dataset: Dataset, tiny_config: TrainConfig
) -> None:
    holdout = LastEvents(5).apply(tiny_dataset)
    scoring = first_scoring(tiny_config)
    found = Validation(holdout, tiny_config).score(tiny_checkpoint.model, scoring)
    pipeline = model_pipeline(tiny_checkpoint.model, holdout.train, scoring, tiny_config.max_history)
    cases = Cases.of(holdout, Task.NEW)
    row_HR = np.full((len(cases), 50), -1)
    for user in range(len(cases)):
        (ranking,) = pipeline.recommend([Query(cases.history(user), float(cases.now_s_H[user]), 50)])
        row_HR[user, : len(ranking.row_R)] = ranking.row_R
    expected = user_metrics(row_HR, cases.targets, len(cases.catalogue))
    assert found == pytest.approx({name: value_H.mean() for name, value_H in expected.items()})


def test_the_pipeline_of_a_model_knows_its_items_by_popularity(
    tiny_checkpoint: Checkpoint, tiny_dataset: Dataset, tiny_config: TrainConfig
) -> None:
    train = LastEvents(5).apply(tiny_dataset).train
    pipeline = model_pipeline(tiny_checkpoint.model, train, first_scoring(tiny_config), tiny_config.max_history)
    popular_row_I = pipeline.popular_row_I[:]
    in_order = pipeline.log_popularity_I[popular_row_I]
    assert (np.diff(in_order) <= 0).all()
    equal = np.diff(in_order) == 0
    assert (np.diff(popular_row_I)[equal] > 0).all(), "equally popular items go by row"
    np.testing.assert_array_equal(pipeline.half_life_s_K, tiny_checkpoint.half_life_s_K)


def events(pairs: list[tuple[int, float]], item_count: int) -> Dataset:
    """Events of one user as (row, days)."""
    row_E, day_E = (np.array(column) for column in zip(*pairs, strict=True))
    zero_E = np.zeros(len(pairs), np.int64)
    catalogue = Catalogue.of([f"i{row}" for row in range(item_count)])
    return Dataset.of(catalogue, ["u"], [""], zero_E, row_E, 1.6e9 + DAY_S * day_E, zero_E)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.floats(0.0, 20_000.0)), min_size=1, max_size=30),
    st.sampled_from([0.1, 2.0, 30.0, 3650.0]),
)
def test_log_popularity_is_a_finite_share_in_the_order_of_the_decayed_counts(
    pairs: list[tuple[int, float]], half_life_days: float
) -> None:
    log_popularity_I = log_popularity(events(pairs, 8), half_life_days * DAY_S)
    assert log_popularity_I.shape == (8,)
    assert log_popularity_I.dtype == np.float32
    assert np.isfinite(log_popularity_I).all()
    assert np.exp(log_popularity_I.astype(np.float64)).sum() == pytest.approx(1.0, rel=1e-5)
    newest = max(day for _, day in pairs)
    count_I = np.zeros(8)
    for row, day in pairs:
        count_I[row] += 2.0 ** ((day - newest) / half_life_days)
    ordered = log_popularity_I[np.argsort(count_I)]
    assert (np.diff(ordered) >= -1e-5).all()
    silent_I = count_I == 0.0
    assert (log_popularity_I[silent_I] == log_popularity_I.min()).all()


@settings(max_examples=30)
@given(st.floats(0.0, 5_000.0))
def test_log_popularity_does_not_age(wait_days: float) -> None:
    pairs = [(0, 0.0), (1, 3.0), (1, 4.0), (2, 9.0)]
    later = [(row, day + wait_days) for row, day in pairs]
    np.testing.assert_allclose(
        log_popularity(events(later, 4), 5 * DAY_S), log_popularity(events(pairs, 4), 5 * DAY_S), rtol=1e-5
    )
