"""The parity check: what it covers, and that it notices."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from unbraid_core.errors import IncompatibleError
from unbraid_core.types import FloatArray
from unbraid_exporter.onnx_export import TRACED_SHAPE_BL
from unbraid_exporter.parity import TOLERANCE, ParityReport, check_parity
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.encoder import MultiInterestEncoder

MAX_HISTORY = 50

Check = Callable[[MultiInterestEncoder], ParityReport]


@pytest.fixture
def check(onnx_file: Path, item_vectors_ID: FloatArray, checkpoint: Checkpoint) -> Check:
    """The check of the exported file against any encoder."""
    return lambda encoder: check_parity(encoder, onnx_file, item_vectors_ID, len(checkpoint.actions), MAX_HISTORY)


def test_a_sound_export_agrees_at_shapes_that_were_not_traced(check: Check, checkpoint: Checkpoint) -> None:
    report = check(checkpoint.encoder)

    shapes = {(case.batch, case.length) for case in report.cases}
    assert len(shapes) >= 8
    assert shapes >= {(1, 1), (1, MAX_HISTORY)}
    assert TRACED_SHAPE_BL not in shapes
    assert all(0.0 < max(case.interests_error, case.assignment_error) <= TOLERANCE for case in report.cases)
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_the_check_is_repeatable(check: Check, checkpoint: Checkpoint) -> None:
    assert check(checkpoint.encoder) == check(checkpoint.encoder)


@pytest.mark.parametrize("max_history", [1, 2, 6])
def test_encoders_of_short_histories_can_be_checked(
    checkpoint: Checkpoint, onnx_file: Path, item_vectors_ID: FloatArray, max_history: int
) -> None:
    report = check_parity(checkpoint.encoder, onnx_file, item_vectors_ID, len(checkpoint.actions), max_history)

    assert max(case.length for case in report.cases) == max_history


def test_every_weight_matters_to_the_check(check: Check, checkpoint: Checkpoint) -> None:
    # The same shift of all logits of a softmax changes nothing, so the shift is uneven and lone biases are left out.
    matrices = {name: weights for name, weights in checkpoint.encoder.named_parameters() if weights.numel() > 1}
    for name, weights in matrices.items():
        other = deepcopy(checkpoint.encoder)
        with torch.no_grad():
            other.get_parameter(name).add_(torch.linspace(0.0, 0.01, weights.numel()).reshape(weights.shape))
        with pytest.raises(IncompatibleError, match="differs from PyTorch by"):
            check(other)


def test_values_that_are_no_numbers_fail(check: Check, checkpoint: Checkpoint) -> None:
    broken = deepcopy(checkpoint.encoder)
    with torch.no_grad():
        broken.value.weight[0, 0] = float("nan")

    with pytest.raises(IncompatibleError, match="one event"):
        check(broken)
