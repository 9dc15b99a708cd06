"""Several processes train one model: the same as one process does, and none of them is left waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unbraid_cli.app import run
from unbraid_core.errors import DeviceUnavailable
from unbraid_training.config import TrainConfig
from unbraid_training.data.folder import write_dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.device import choose_device
from unbraid_training.examples import Examples
from unbraid_training.ranks import first_then_others, from_first, is_first, rank, rank_count, total

if TYPE_CHECKING:
    from unbraid_training.data.dataset import Dataset

EXPERIMENT = """
[data]
path = "data"
split = "last-5"

[run]
device = "cpu"

[train.loss]
variance_weight = 0.01
correlation_weight = 0.1
hardness = 0.5
full_softmax_items = 50
negative_count = 64

[train.ranker]
origin_count = 0

[train]
dimension = 16
epochs = 2
dropout = 0.0
"""

ONE_RANK_LEAVES = """
import sys
from pathlib import Path
import torch
from unbraid_core.errors import Unavailable
from unbraid_training.config import TrainConfig
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.observer import Silence
from unbraid_training.ranks import joined, rank
from unbraid_training.train import train

with joined(torch.device("cpu")):
    if rank() == 1:
        sys.exit("rank 1 is gone")
    spec = SyntheticSpec(user_count=40, item_count=120, events_per_user=20)
    try:
        train(plant(spec).dataset, LastEvents(5), TrainConfig(dimension=8), Path("run"), Silence())
    except Unavailable as error:
        sys.exit(error.message)
"""


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, in a folder."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
    )


def epochs(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_what_one_trains(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every part of the loss. The last batch of the final model has one example: the second process has none."""
    write_dataset(tiny_dataset, tmp_path / "data")
    epoch_size = 2 * len(LastEvents(5).apply(tiny_dataset).train) // TrainConfig().target_count
    (tmp_path / "experiment.toml").write_text(EXPERIMENT + f"batch_size = {epoch_size - 1}\n")
    train = ["train", "--config", "experiment.toml", "--out"]
    together = torchrun(tmp_path, "-m", "unbraid_cli.main", *train, "two")
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("next: unbraid export two") == 1, "only the first process speaks"
    assert "in 2 processes" in together.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unbraid", *train, "one"])
    assert run() == 0
    one, two = tmp_path / "one", tmp_path / "two"
    for alone, shared in zip(epochs(one), epochs(two), strict=True):
        for name in ("loss", "routing_information", "effective_events", "cosine", "half_life_days"):
            assert shared[name] == pytest.approx(alone[name], rel=1e-4), name
    weights, others = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=1e-4)
    assert json.loads((two / "environment.json").read_text())[0]["process_count"] == 2


def test_a_process_that_ends_takes_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(ONE_RANK_LEAVES)
    done = torchrun(tmp_path, "script.py")
    assert done.returncode != 0
    assert "rank 1 is gone" in done.stderr


@pytest.mark.parametrize("rank_count", [2, 3, 64])
def test_the_shares_of_all_ranks_are_the_batch(
    tiny_dataset: Dataset, tiny_config: TrainConfig, rank_count: int
) -> None:
    batch = next(
        Examples(tiny_dataset, tiny_config.model_copy(update={"batch_size": 50})).epoch(np.random.default_rng(1))
    )
    shares = [batch.share(position, rank_count) for position in range(rank_count)]
    assert sum(len(share.row_BL) for share in shares) == 50
    for position, share in enumerate(shares):
        assert torch.equal(share.row_BL, batch.row_BL[position::rank_count])
        assert torch.equal(share.targets.age_s_BTL, batch.targets.age_s_BTL[position::rank_count])


def test_a_process_alone_is_first_and_everything() -> None:
    assert (rank(), rank_count(), is_first()) == (0, 1, True)
    assert from_first(lambda: 7) == first_then_others(lambda: 7) == 7
    tensor = torch.ones(3, requires_grad=True)
    assert total(tensor) is tensor


@pytest.mark.no_gpu
def test_a_gpu_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(DeviceUnavailable, match=r"cuda was demanded, but .*; use --device auto or --device cpu"):
        choose_device("cuda")
    choice = choose_device("auto")
    assert choice.device.type == "cpu"
    assert choice.reason.startswith("no CUDA: ")
    assert choice.precision == "fp32"
