"""Every setting of the loss in a real training: it takes effect where it should, and a run stays repeatable."""

from __future__ import annotations

import pytest
import torch

from unbraid_training.config import LossConfig, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_popularity
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import EpochLoss, Trainer

SETTINGS = {
    "routing variance": LossConfig(variance_weight=0.1),
    "distance correlation": LossConfig(correlation_weight=0.5),
    "hard negatives": LossConfig(hardness=1.0),
    "hard selection": LossConfig(soft_epochs=0),
    "sampled softmax": LossConfig(full_softmax_items=0, negative_count=20),
}


def trained(dataset: Dataset, loss: LossConfig, epochs: int = 1) -> tuple[Trainer, list[EpochLoss]]:
    config = TrainConfig(dimension=8, batch_size=128, loss=loss)
    trainer = Trainer(dataset, config, log_popularity(dataset, ALL_TIME_S))
    return trainer, [trainer.run_epoch(epoch, lambda: None) for epoch in range(epochs)]


@pytest.fixture(scope="module")
def shipped(tiny_dataset: Dataset) -> Trainer:
    return trained(tiny_dataset, LossConfig())[0]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_what_is_learned_and_repeats(tiny_dataset: Dataset, shipped: Trainer, name: str) -> None:
    first, reports = trained(tiny_dataset, SETTINGS[name])
    again, reports_again = trained(tiny_dataset, SETTINGS[name])
    assert reports == reports_again
    items = [trainer.model.item_vectors() for trainer in (shipped, first, again)]
    assert torch.isfinite(items[1]).all()
    assert torch.equal(items[1], items[2])
    assert not torch.equal(items[1], items[0])


def test_the_selection_is_soft_for_as_many_epochs_as_asked_for(tiny_dataset: Dataset) -> None:
    _, soft = trained(tiny_dataset, LossConfig(), epochs=2)
    _, warmed = trained(tiny_dataset, LossConfig(soft_epochs=1), epochs=2)
    assert warmed[0] == soft[0]
    assert warmed[1].loss > soft[1].loss, "one interest alone explains less than their mixture"


def test_a_penalty_lowers_what_it_punishes(tiny_dataset: Dataset) -> None:
    _, plain = trained(tiny_dataset, LossConfig(routing_weight=0.0), epochs=4)
    _, rewarded = trained(tiny_dataset, LossConfig(routing_weight=2.0), epochs=4)
    assert rewarded[-1].routing_information > plain[-1].routing_information


def test_a_small_catalogue_is_not_sampled(tiny_dataset: Dataset) -> None:
    item_count = len(tiny_dataset.catalogue)
    _, whole = trained(tiny_dataset, LossConfig(full_softmax_items=item_count))
    _, sampled = trained(tiny_dataset, LossConfig(full_softmax_items=item_count - 1))
    assert whole == trained(tiny_dataset, LossConfig())[1]
    assert sampled != whole
    assert sampled[0].loss == pytest.approx(whole[0].loss, abs=0.3)
