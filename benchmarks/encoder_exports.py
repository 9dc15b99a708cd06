"""Exports every encoder that can be configured, compares it with PyTorch, and times it under ONNX Runtime.

    python benchmarks/encoder_exports.py [--variants NAME ...] [--dimension 64] [--interests 4]

A variant is named as in a release, such as gru+time/self-attentive/short-term; all 40 by default. Every weight is
moved away from its start by noise, so that no part is without effect. Prints, for every variant, the largest
difference from PyTorch over the batches of the parity check (1e-5 is allowed), operators in the graph, size, and the
median CPU time of one history of 50 events, asked alone and in a batch of 32, on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import onnx
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import EncoderSpec
from unbraid_core.types import FloatArray, HistoryBatch
from unbraid_exporter.onnx_export import export_onnx
from unbraid_exporter.parity import check_parity
from unbraid_server.device import Device
from unbraid_server.encoder import OnnxEncoder
from unbraid_training.config import EncoderConfig, every_encoder
from unbraid_training.encoder import MultiInterestEncoder

ENCODERS = {config.architecture: config for config in every_encoder()}
LENGTH = 50
ACTIONS = ["", "view", "buy"]
NOISE = 0.1
REPEATS = 30


def unit_vectors(count: int, dimension: int) -> FloatArray:
    """Random items."""
    vectors_ID = np.random.default_rng(0).normal(size=(count, dimension)).astype(np.float32)
    unit_ID: FloatArray = vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    return unit_ID


def microseconds(encoder: OnnxEncoder, item_vectors_ID: FloatArray, batch_size: int) -> float:
    """Median CPU time of one of ``batch_size`` full histories."""
    rng = np.random.default_rng(1)
    shape_BL = batch_size, LENGTH
    batch = HistoryBatch(
        item_vectors_BLD=item_vectors_ID[rng.integers(0, len(item_vectors_ID), shape_BL)],
        age_s_BL=np.sort(rng.uniform(0, 1e7, shape_BL).astype(np.float32))[:, ::-1].copy(),
        action_BL=rng.integers(0, len(ACTIONS), shape_BL),
        mask_BL=np.ones(shape_BL, np.bool_),
    )
    durations_s = []
    for _ in range(REPEATS):
        start = process_time()
        encoder.encode(batch)
        durations_s.append(process_time() - start)
    return float(np.median(durations_s)) / batch_size * 1e6


def measure(config: EncoderConfig, dimension: int, interest_count: int, path: Path) -> tuple[str, ...]:
    """The row of one variant."""
    torch.manual_seed(1)
    encoder = MultiInterestEncoder(dimension, interest_count, len(ACTIONS), dropout=0.2, config=config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape))
    item_vectors_ID = unit_vectors(500, dimension)
    export_onnx(encoder, dimension, path, {})
    try:
        cases = check_parity(encoder, path, item_vectors_ID, len(ACTIONS), LENGTH).cases
    except IncompatibleError as error:
        return config.architecture, error.message
    spec = EncoderSpec(
        architecture=config.architecture,
        interest_count=interest_count,
        dimension=dimension,
        max_history=LENGTH,
        actions=ACTIONS,
    )
    served = OnnxEncoder(path, spec, Device.CPU)
    return (
        config.architecture,
        f"{max(max(case.interests_error, case.assignment_error) for case in cases):.1e}",
        str(len(onnx.load(path).graph.node)),
        f"{path.stat().st_size / 1e3:.0f} kB",
        *(f"{microseconds(served, item_vectors_ID, batch_size):.0f}" for batch_size in (1, 32)),
    )


def main() -> int:
    """Measure every variant that was asked for, print the table; exit with 1 where one differs from PyTorch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--variants", nargs="+", default=list(ENCODERS), choices=ENCODERS, metavar="NAME")
    parser.add_argument("--dimension", type=int, default=64, help="D")
    parser.add_argument("--interests", type=int, default=4, help="K")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("encoder", "parity", "operators", "size", "us, alone", "us, of 32")
    rows = []
    with TemporaryDirectory() as folder:
        for name in track(options.variants, "exporting"):
            rows.append(measure(ENCODERS[name], options.dimension, options.interests, Path(folder) / "encoder.onnx"))
            table.add_row(*rows[-1])
    Console(width=120).print(table)
    return int(any(len(row) == 2 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
