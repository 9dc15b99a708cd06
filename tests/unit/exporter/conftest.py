"""A finished training run with weights that matter, and its export, made once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid_core.catalogue import Catalogue
from unbraid_core.release import TrainingRecord
from unbraid_core.types import FloatArray, Scoring
from unbraid_exporter.export import export_checkpoint
from unbraid_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.model import Model

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SETTINGS = TrainConfig(interest_count=4, dimension=16, max_history=50)
ACTIONS = ["", "view", "buy"]
ITEM_COUNT = 200
SCORING = Scoring(
    temperature=0.1, beta=1.0, gamma=0.5, delta=0.0, own_half_life_s=86_400.0, popularity_half_life_s=86_400.0
)
TRAINING = TrainingRecord(
    split="last-10",
    seed=2,
    event_count=100,
    user_count=10,
    last_event_time=NOON,
    data_sha256="0" * 64,
    validation={"recall@50": 0.25},
)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training run leaves behind."""
    torch.manual_seed(2)
    model = Model(SETTINGS, ITEM_COUNT, len(ACTIONS))
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            # Off its starting point, so that no part of the graph is without effect.
            parameter.add_(0.3 * torch.randn(parameter.shape))
    item_vectors_ID = model.item_vectors().detach().numpy()
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(
        Checkpoint(
            settings=SETTINGS,
            model=model,
            actions=ACTIONS,
            scoring=SCORING,
            training=TRAINING,
            log_popularity_I=np.linspace(-9.0, -1.0, ITEM_COUNT, dtype=np.float32),
            queries_QD=item_vectors_ID[:20].copy(),
            catalogue=Catalogue.of([f"i-{row}" for row in range(ITEM_COUNT)]),
        ),
        folder,
    )
    return folder


@pytest.fixture(scope="session")
def checkpoint(run_dir: Path) -> Checkpoint:
    return load_checkpoint(run_dir)


@pytest.fixture(scope="session")
def item_vectors_ID(checkpoint: Checkpoint) -> FloatArray:
    return checkpoint.item_vectors_ID


@pytest.fixture(scope="session")
def export_dir(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that no test changes."""
    return export_checkpoint(checkpoint, tmp_path_factory.mktemp("exports") / "first", NOON)


@pytest.fixture(scope="session")
def onnx_file(export_dir: Path) -> Path:
    return export_dir / "user_encoder.onnx"
