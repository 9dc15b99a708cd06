"""Training on a GPU: in bf16 it learns what the CPU learns, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unbraid_training.config import TrainConfig
from unbraid_training.data.splits import LastEvents
from unbraid_training.device import CPU, DeviceChoice, choose_device
from unbraid_training.train import train

if TYPE_CHECKING:
    from tests.unit.training.conftest import Watcher

    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.data.dataset import Dataset

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> DeviceChoice:
    return choose_device("cuda")


def trained(dataset: Dataset, config: TrainConfig, folder: Path, observer: Watcher, choice: DeviceChoice) -> Checkpoint:
    return train(dataset, LastEvents(5), config, folder, observer, choice)


def test_a_gpu_learns_what_the_cpu_learns(
    tiny_dataset: Dataset, tiny_config: TrainConfig, watch: type[Watcher], gpu: DeviceChoice, tmp_path: Path
) -> None:
    assert gpu.precision == "bf16"
    # Random numbers differ between devices.
    config = tiny_config.model_copy(update={"dropout": 0.0})
    on_gpu, on_cpu = watch(), watch()
    there = trained(tiny_dataset, config, tmp_path / "gpu", on_gpu, gpu).item_vectors_ID
    here = trained(tiny_dataset, config, tmp_path / "cpu", on_cpu, CPU).item_vectors_ID
    assert len(on_gpu.reports) == len(on_cpu.reports)
    for report, expected in zip(on_gpu.reports, on_cpu.reports, strict=True):
        assert report.loss == pytest.approx(expected.loss, rel=0.02)
        assert report.half_life_days == pytest.approx(expected.half_life_days, rel=0.05)
    assert np.einsum("id,id->i", there, here).mean() > 0.99


def test_a_run_on_a_gpu_goes_on_where_it_was_stopped(
    tiny_dataset: Dataset,
    tiny_config: TrainConfig,
    watch: type[Watcher],
    interrupted: type[Exception],
    gpu: DeviceChoice,
    tmp_path: Path,
) -> None:
    undisturbed = watch()
    trained(tiny_dataset, tiny_config, tmp_path / "whole", undisturbed, gpu)
    stop = undisturbed.position("choosing epochs", 1, "epoch")
    with pytest.raises(interrupted):
        trained(tiny_dataset, tiny_config, tmp_path / "parts", watch(stop_at=stop), gpu)
    rest = watch()
    trained(tiny_dataset, tiny_config, tmp_path / "parts", rest, gpu)
    left = undisturbed.reports[-len(rest.reports) :]
    assert 0 < len(left) < len(undisturbed.reports)
    assert [(report.phase, report.epoch) for report in rest.reports] == [(each.phase, each.epoch) for each in left]
    # Sums on a GPU come in no fixed order.
    for report, expected in zip(rest.reports, left, strict=True):
        assert report.loss == pytest.approx(expected.loss, rel=0.02)
