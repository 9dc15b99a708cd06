"""The whole of training on data whose answer is known: planted interests are found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unbraid_core.categories import Categories
from unbraid_core.types import IntArray, Interests, Query
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.evaluation.disentanglement import Disentanglement
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.popularity import Popularity
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train
from unbraid_training.validation import model_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.training.conftest import Watcher

SPLIT = LastEvents(5)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(SyntheticSpec(user_count=400, item_count=120))


@pytest.fixture(scope="module")
def holdout(planted: Planted) -> Holdout:
    return SPLIT.apply(planted.dataset)


@pytest.fixture(scope="module")
def checkpoint(planted: Planted, watch: Callable[..., Watcher], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    # A ranker would train a model for each of its origins, and nothing here looks at one.
    config = TrainConfig(dimension=16, epochs=3, batch_size=128, ranker=RankerConfig(origin_count=0))
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
    assert len(assigned_N) > 12_000
    assert normalised_mutual_information(assigned_N, planted_N) >= 0.9


def test_the_report_agrees_with_the_truth_that_was_planted(
    interests: list[Interests], planted_N: IntArray, holdout: Holdout
) -> None:
    """The categories of planted items are their clusters."""
    found = Disentanglement.of(interests, Categories.of(holdout.train.catalogue), seed=1)
    assigned_N = np.concatenate([each.assignment_KL.argmax(axis=0) for each in interests])
    assert found.category_nmi == pytest.approx(normalised_mutual_information(assigned_N, planted_N))
    assert 1.5 < found.effective_interests.low < found.effective_interests.high < 4.0


def test_every_interest_fades_at_the_planted_half_life(
    checkpoint: Checkpoint, planted: Planted, interests: list[Interests], planted_N: IntArray
) -> None:
    assigned_N = np.concatenate([each.assignment_KL.argmax(axis=0) for each in interests])
    together_KK = np.zeros((4, 4))
    np.add.at(together_KK, (assigned_N, planted_N), 1.0)
    found_K, planted_K = linear_sum_assignment(-together_KK)
    ratio_K = checkpoint.half_life_s_K[found_K] / planted.half_life_s_K[planted_K]
    assert np.abs(np.log(ratio_K)).max() < np.log(1.5)


def test_the_assignment_is_decided(interests: list[Interests]) -> None:
    assert np.concatenate([each.assignment_KL.max(axis=0) for each in interests]).mean() > 0.9


def test_the_interests_that_a_user_has_stay_apart(interests: list[Interests]) -> None:
    apart = []
    for each in interests:
        held_K = each.assignment_KL.mean(axis=1) > 0.1
        cosine_KK = each.vectors_KD[held_K] @ each.vectors_KD[held_K].T
        apart.extend(cosine_KK[np.triu_indices(len(cosine_KK), 1)])
    assert np.mean(apart) < 0.7


def test_what_users_do_next_is_found_better_than_by_popularity(checkpoint: Checkpoint, holdout: Holdout) -> None:
    pipeline = model_pipeline(checkpoint.model, holdout.train, checkpoint.scoring, checkpoint.settings.max_history)
    cases = Cases.of(holdout, Task.NEW)
    item_count = len(cases.catalogue)
    ours = user_metrics(rank_with_pipeline(pipeline, cases, lambda _: None), cases.targets, item_count)
    theirs = user_metrics(Popularity(None, seed=1).rank(cases), cases.targets, item_count)
    assert ours["recall@20"].mean() > 1.2 * theirs["recall@20"].mean()
    assert ours["ndcg@50"].mean() > 1.2 * theirs["ndcg@50"].mean()
