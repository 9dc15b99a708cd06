"""The whole of training on data whose answer is known: planted interests are found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unbraid_core.types import IntArray, Interests, Query
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.popularity import Popularity
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.train import train
from unbraid_training.validation import model_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.training.conftest import Watcher

SPLIT = LastEvents(5)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(SyntheticSpec(user_count=200, item_count=160))


@pytest.fixture(scope="module")
def holdout(planted: Planted) -> Holdout:
    return SPLIT.apply(planted.dataset)


@pytest.fixture(scope="module")
def checkpoint(planted: Planted, watch: Callable[..., Watcher], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    config = TrainConfig(dimension=32, epochs=4)
    return train(planted.dataset, SPLIT, config, tmp_path_factory.mktemp("planted") / "run", watch())


@pytest.fixture(scope="module")
def interests(checkpoint: Checkpoint, holdout: Holdout) -> list[Interests]:
    """The interests of all users after their last training event."""
    train_part = holdout.train
    pipeline = model_pipeline(checkpoint.model, train_part, checkpoint.scoring, checkpoint.settings.max_history)
    histories = [train_part.history(user) for user in range(len(train_part.user_ids))]
    answers = pipeline.interests([Query(history, float(history.time_s_N[-1]), 1) for history in histories])
    return [each for each in answers if each is not None]


@pytest.fixture(scope="module")
def planted_N(planted: Planted, holdout: Holdout, interests: list[Interests]) -> IntArray:
    """The planted cluster of every event that the encoder saw."""
    old_row_I = planted.dataset.catalogue.rows(holdout.train.catalogue.item_ids)
    cluster_I = planted.cluster_of_item_I[old_row_I]
    return np.concatenate([cluster_I[each.history.row_N] for each in interests])


def test_the_assignment_is_the_planted_interest(interests: list[Interests], planted_N: IntArray) -> None:
    assigned_N = np.concatenate([each.assignment_KL.argmax(axis=0) for each in interests])
    assert len(assigned_N) > 6_000
    assert normalised_mutual_information(assigned_N, planted_N) >= 0.8


def test_the_assignment_is_decided(interests: list[Interests]) -> None:
    assert np.concatenate([each.assignment_KL.max(axis=0) for each in interests]).mean() > 0.9


def test_the_interests_of_a_user_stay_apart(interests: list[Interests]) -> None:
    cosines = [each.vectors_KD @ each.vectors_KD.T for each in interests]
    apart = [cosine_KK[~np.eye(len(cosine_KK), dtype=bool)].mean() for cosine_KK in cosines]
    assert np.mean(apart) < 0.7


def test_what_users_do_next_is_found_better_than_by_popularity(checkpoint: Checkpoint, holdout: Holdout) -> None:
    pipeline = model_pipeline(checkpoint.model, holdout.train, checkpoint.scoring, checkpoint.settings.max_history)
    cases = Cases.of(holdout, Task.NEW)
    item_count = len(cases.catalogue)
    ours = user_metrics(rank_with_pipeline(pipeline, cases, lambda _: None), cases.targets, item_count)
    theirs = user_metrics(Popularity(None, seed=1).rank(cases), cases.targets, item_count)
    assert ours["recall@20"].mean() > 1.2 * theirs["recall@20"].mean()
    assert ours["ndcg@50"].mean() > 1.2 * theirs["ndcg@50"].mean()
