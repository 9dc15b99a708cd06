"""The export folder: what is in it, and that it appears complete or not at all."""

from __future__ import annotations

import json
import shutil
import sys
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from unbraid_cli.app import run
from unbraid_core.errors import Conflict, IncompatibleError
from unbraid_core.release import open_export
from unbraid_exporter.export import export_checkpoint
from unbraid_exporter.parity import ParityReport
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.encoder import MultiInterestEncoder

if TYPE_CHECKING:
    from tests.unit.conftest import FilesLimitedTo

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FILES = {
    "user_encoder.onnx",
    "item_vectors.npy",
    "item_features.npy",
    "items.arrow",
    "queries.npy",
    "reports/parity.json",
    "reports/training.json",
}


@pytest.fixture
def older(export_dir: Path, tmp_path: Path) -> Path:
    """An export that a test may replace, alone in its folder."""
    return shutil.copytree(export_dir, tmp_path / "exports" / "mine")


def siblings(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_an_export_holds_what_the_checkpoint_holds(checkpoint: Checkpoint, export_dir: Path) -> None:
    export = open_export(export_dir)

    assert export.manifest.space_id == checkpoint.space_id
    assert export.manifest.encoder == checkpoint.encoder_spec
    assert export.manifest.half_life_s == checkpoint.half_life_s_K.tolist()
    assert export.manifest.scoring == checkpoint.scoring
    assert export.manifest.training == checkpoint.training
    assert export.manifest.files.keys() == FILES
    np.testing.assert_array_equal(export.item_vectors_ID, checkpoint.item_vectors_ID)
    np.testing.assert_array_equal(export.log_popularity_I, checkpoint.log_popularity_I)
    assert export.catalogue.item_ids == checkpoint.catalogue.item_ids
    np.testing.assert_array_equal(export.queries(), checkpoint.queries_QD)
    assert len(ParityReport.model_validate_json((export_dir / "reports/parity.json").read_bytes()).cases) >= 8
    assert json.loads((export_dir / "reports/training.json").read_text())["settings"]["interest_count"] == 4
    assert siblings(export_dir) == [export_dir.name]


def test_the_command_replaces_an_older_export_and_says_what_comes_next(
    run_dir: Path, older: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = open_export(older).manifest
    monkeypatch.setattr(sys, "argv", ["unbraid", "export", str(run_dir), "--out", str(older)])

    assert run() == 0

    after = open_export(older).manifest
    assert after.created_time > before.created_time
    assert after.files == before.files, "the same checkpoint gives the same bytes"
    assert siblings(older) == [older.name]
    out, err = capfd.readouterr()
    assert "decades of events" in out
    assert out.endswith(f"next: unbraid index build {older}\n")
    assert err == "", "nothing of what the exporter says about itself"


class RandomRouting(MultiInterestEncoder):
    """Draws its routing anew in every call, so no graph can agree with it."""

    def forward(
        self, item_vectors_BLD: Tensor, age_s_BL: Tensor, action_BL: Tensor, mask_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        interests_BKD, assignment_BKL = super().forward(item_vectors_BLD, age_s_BL, action_BL, mask_BL)
        noise_BKD = 0.01 * torch.randn_like(interests_BKD)
        return torch.nn.functional.normalize(interests_BKD + noise_BKD, dim=-1), assignment_BKL


def test_an_encoder_that_fails_parity_leaves_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = deepcopy(checkpoint.model)
    model.encoder = RandomRouting(dimension=16, interest_count=4, action_count=3, dropout=0.0)

    with pytest.raises(IncompatibleError, match="differs from PyTorch by"):
        export_checkpoint(replace(checkpoint, model=model), tmp_path / "out", NOON)

    assert list(tmp_path.iterdir()) == []


def test_an_export_that_dies_half_way_leaves_the_older_one(
    checkpoint: Checkpoint, older: Path, files_limited_to: FilesLimitedTo
) -> None:
    before = open_export(older).manifest

    with files_limited_to(8_192), pytest.raises(OSError, match="File too large"):
        export_checkpoint(checkpoint, older, NOON)

    assert open_export(older).manifest == before
    assert siblings(older) == [older.name]


def test_a_folder_that_is_no_export_is_left_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")

    with pytest.raises(Conflict, match="is not an export"):
        export_checkpoint(checkpoint, tmp_path, NOON)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_needs_a_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unbraid", "export", str(tmp_path)])

    assert run() == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path}: holds no finished training run (config.json is missing)")
    assert err.count("\n") == 1
