"""Where training starts: vectors of items, with and without events, and directions that follow the clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.model import Model
from unbraid_training.warm_start import cluster_directions, factorise, warm_start


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(SyntheticSpec(user_count=150, item_count=100, events_per_user=30))


@pytest.fixture(scope="module")
def with_gaps(planted: Planted) -> tuple[Dataset, list[int]]:
    """The data set without the events of some items, which stay in the catalogue."""
    silent = [0, 17, 99]
    return planted.dataset.select(~np.isin(planted.dataset.row_E, silent)), silent


def test_every_item_gets_a_finite_unit_vector(with_gaps: tuple[Dataset, list[int]]) -> None:
    dataset, silent = with_gaps
    vectors_ID = factorise(dataset, 16, seed=1)
    assert vectors_ID.shape == (100, 16)
    assert vectors_ID.dtype == np.float32
    assert np.isfinite(vectors_ID).all()
    np.testing.assert_allclose(np.linalg.norm(vectors_ID, axis=1), 1.0, atol=1e-5)
    # Items without events point nowhere in particular, and not all to the same place.
    assert np.abs(vectors_ID[silent] @ vectors_ID[silent].T - np.eye(3)).max() < 0.9


def test_the_same_seed_gives_the_same_start_and_another_seed_another(planted: Planted) -> None:
    first, again, other = (factorise(planted.dataset, 16, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(cluster_directions(first, 4, 1), cluster_directions(first, 4, 1))


def test_directions_are_the_planted_clusters(planted: Planted) -> None:
    vectors_ID = factorise(planted.dataset, 16, seed=1)
    directions_KD = cluster_directions(vectors_ID, 4, seed=1)
    np.testing.assert_allclose(np.linalg.norm(directions_KD, axis=1), 1.0, atol=1e-5)
    nearest_I = (vectors_ID @ directions_KD.T).argmax(axis=1)
    assert normalised_mutual_information(nearest_I, planted.cluster_of_item_I) > 0.9


def test_a_model_starts_from_there(with_gaps: tuple[Dataset, list[int]]) -> None:
    dataset, silent = with_gaps
    torch.manual_seed(0)
    model = Model(TrainConfig(dimension=16), len(dataset.catalogue), len(dataset.actions))
    warm_start(model, dataset, seed=1)
    vectors_ID = factorise(dataset, 16, seed=1)
    np.testing.assert_allclose(model.item_vectors().detach(), vectors_ID, atol=1e-6)
    heard_I = ~np.isin(np.arange(len(vectors_ID)), silent)
    expected_KD = cluster_directions(vectors_ID[heard_I], 4, seed=1)
    np.testing.assert_array_equal(model.encoder.direction_KD.detach(), expected_KD)
