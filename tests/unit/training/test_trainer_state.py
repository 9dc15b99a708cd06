"""The state of a trainer: stored, restored bit for bit, and refused where it is another model's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unbraid_core.errors import IncompatibleError
from unbraid_training.config import DAY_S, EncoderConfig, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_popularity
from unbraid_training.run_folder import RunFolder, RunIdentity, Snapshot
from unbraid_training.trainer import Trainer


@pytest.mark.parametrize(
    ("encoder", "stop"),
    [
        (EncoderConfig(), 1),
        (EncoderConfig(), 2),
        (EncoderConfig(trunk="lstm", extraction="dynamic-routing", short_term=True), 1),
    ],
)
def test_a_trainer_goes_on_from_a_stored_state_bit_for_bit(
    tiny_dataset: Dataset, tiny_config: TrainConfig, tmp_path: Path, encoder: EncoderConfig, stop: int
) -> None:
    config = tiny_config.model_copy(update={"encoder": encoder})

    def trainer() -> Trainer:
        return Trainer(tiny_dataset, config, log_popularity(tiny_dataset, DAY_S))

    undisturbed = trainer()
    losses = [undisturbed.run_epoch(epoch, lambda: None) for epoch in range(3)]

    first = trainer()
    for epoch in range(stop):
        first.run_epoch(epoch, lambda: None)
    with RunFolder(tmp_path / "run", RunIdentity(settings=config, split="all", data_sha256="")) as run:
        run.save("some", Snapshot(first.state(), []))
        stored = run.load("some")
    assert stored is not None
    # An epoch draws from (seed, epoch) alone, so it does not matter what was drawn in between.
    torch.manual_seed(99)
    second = trainer()
    second.restore(stored.state)
    assert [second.run_epoch(epoch, lambda: None) for epoch in range(stop, 3)] == losses[stop:]
    for name, tensor in undisturbed.state().items():
        assert torch.equal(second.state()[name], tensor), name


def test_a_state_of_another_model_is_refused(tiny_dataset: Dataset, tiny_config: TrainConfig) -> None:
    trainer = Trainer(tiny_dataset, tiny_config, log_popularity(tiny_dataset, DAY_S))
    trainer.run_epoch(0, lambda: None)
    state = trainer.state()
    changes: dict[str, dict[str, torch.Tensor]] = {
        "a parameter less": {name: tensor for name, tensor in state.items() if name != "model.items.weight"},
        "a parameter more": {**state, "model.gate": torch.zeros(1)},
        "another shape": {**state, "model.items.weight": torch.zeros(3, 16)},
        "slots of nothing": {**state, "optimizer.gate.exp_avg": torch.zeros(1)},
    }
    for change in changes.values():
        with pytest.raises(IncompatibleError, match="another model"):
            trainer.restore(change)
