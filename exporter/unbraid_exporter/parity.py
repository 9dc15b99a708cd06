"""Does the ONNX file answer as PyTorch does? Asked at shapes that were not traced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from pydantic import BaseModel, ConfigDict

from unbraid_core.encoding import pad_histories
from unbraid_core.errors import IncompatibleError
from unbraid_core.types import FloatArray, History, HistoryBatch, InterestBatch
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.torch_encoder import TorchEncoder

__all__ = ["TOLERANCE", "ParityCase", "ParityReport", "check_parity"]

TOLERANCE = 1e-5
SEED = 20_230_823
MONTH_S, YEAR_S = 30 * 86_400.0, 365 * 86_400.0


class ParityCase(BaseModel):
    """One comparison: the largest absolute differences over a batch of the given shape."""

    model_config = ConfigDict(frozen=True)

    name: str
    batch: int
    length: int
    interests_error: float
    assignment_error: float


class ParityReport(BaseModel):
    """All comparisons of an export, in the order in which they were made."""

    model_config = ConfigDict(frozen=True)

    tolerance: float
    torch_version: str
    onnxruntime_version: str
    cases: tuple[ParityCase, ...]


@dataclass(frozen=True)
class _Inputs:
    """What a batch of histories looks like: how many events each has, how far it is padded, how far it reaches back."""

    name: str
    lengths: tuple[int, ...]
    padded_to: int
    span_s: float = MONTH_S


def check_parity(
    encoder: MultiInterestEncoder, onnx_file: Path, item_vectors_ID: FloatArray, action_count: int, max_history: int
) -> ParityReport:
    """Compare ONNX Runtime on the CPU with PyTorch, on histories of real item vectors.

    Args:
        encoder: what the file was exported from.
        onnx_file: what was exported.
        item_vectors_ID: the items that the histories are drawn from, unit length.
        action_count: size of the action vocabulary.
        max_history: L, the longest history that the encoder is asked about.

    Raises:
        IncompatibleError: a difference above the tolerance, or a value that is no number; the message names the shape.
    """
    exported = ExportedEncoder(onnx_file)
    reference = TorchEncoder(encoder)
    generator = np.random.default_rng(SEED)
    cases = []
    for inputs in _inputs(action_count, max_history):
        batch = _batch(inputs, item_vectors_ID, action_count, generator)
        case = _compare(inputs, reference.encode(batch), exported.encode(batch))
        # Asked this way round, so that a difference that is no number fails as well.
        if not (case.interests_error <= TOLERANCE and case.assignment_error <= TOLERANCE):
            raise IncompatibleError(
                f"the exported encoder differs from PyTorch by {case.interests_error:.1e} in the interests and "
                f"{case.assignment_error:.1e} in the assignment on {case.name} (B={case.batch}, L={case.length}); "
                f"{TOLERANCE:.0e} is allowed, so nothing was exported"
            )
        cases.append(case)
    return ParityReport(
        tolerance=TOLERANCE, torch_version=torch.__version__, onnxruntime_version=ort.__version__, cases=tuple(cases)
    )


def _inputs(action_count: int, max_history: int) -> Iterator[_Inputs]:
    """The batches of the check, cut to the longest history that this encoder sees."""
    full = max_history
    all_actions = (full,) * max(2, -(-action_count // full))
    for inputs in (
        _Inputs("one event", (1,), 1),
        _Inputs("one full history", (full,), full),
        _Inputs("odd sizes", (7,) * 5, 7),
        _Inputs("a large batch", tuple(range(1, 65)), full),
        _Inputs("padding behind every history", (1, 3, 2, 3), full),
        _Inputs("very different lengths", (1, full, 2, max(1, full // 2), max(1, full - 1)), full),
        _Inputs("all events at one moment", (9, 4), 9, span_s=0.0),
        _Inputs("decades of events", (11, 5, 11, 1), 11, span_s=30 * YEAR_S),
        _Inputs("every action", all_actions, full),
    ):
        lengths = tuple(min(length, full) for length in inputs.lengths)
        yield replace(inputs, lengths=lengths, padded_to=min(inputs.padded_to, full))


def _batch(
    inputs: _Inputs, item_vectors_ID: FloatArray, action_count: int, generator: np.random.Generator
) -> HistoryBatch:
    """Seeded histories over the items, with the actions taken in turn."""
    turn = count()
    histories = [
        History(
            row_N=generator.integers(0, len(item_vectors_ID), length),
            time_s_N=np.sort(generator.uniform(0.0, inputs.span_s, length)),
            action_N=np.fromiter((next(turn) % action_count for _ in range(length)), np.int64, length),
        )
        for length in inputs.lengths
    ]
    batch = pad_histories(histories, item_vectors_ID)
    padding = ((0, 0), (0, inputs.padded_to - batch.mask_BL.shape[1]))
    return HistoryBatch(
        item_vectors_BLD=np.pad(batch.item_vectors_BLD, (*padding, (0, 0))),
        age_s_BL=np.pad(batch.age_s_BL, padding),
        action_BL=np.pad(batch.action_BL, padding),
        mask_BL=np.pad(batch.mask_BL, padding),
    )


def _compare(inputs: _Inputs, expected: InterestBatch, found: InterestBatch) -> ParityCase:
    return ParityCase(
        name=inputs.name,
        batch=len(inputs.lengths),
        length=inputs.padded_to,
        interests_error=float(np.abs(expected.vectors_BKD - found.vectors_BKD).max()),
        assignment_error=float(np.abs(expected.assignment_BKL - found.assignment_BKL).max()),
    )
