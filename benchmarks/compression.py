"""What a lower precision of encoder and item vectors saves and costs, for a finished training run.

    python benchmarks/compression.py RUN_DIR --data DIR [--rounds 30]

Prints three tables. Encoder: size, how far its interests are from those of fp32, and CPU time a request. Item vectors:
size, and CPU time to gather the candidates of a request. Both together: Recall@50 and NDCG@50 of the serving pipeline
with exact search, for held-out users, with the change against fp32 and its paired 95% interval over users.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from unbraid_core.encoding import pad_histories
from unbraid_core.item_vectors import CompactVectors, ItemVectors, compact
from unbraid_core.types import FloatArray, HistoryBatch, Precision
from unbraid_exporter.compact_encoder import compact_encoder
from unbraid_exporter.compression import serving_pipeline
from unbraid_exporter.compression_report import MetricChange, TaskChange
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_exporter.held_out_users import HeldOutUsers
from unbraid_exporter.onnx_export import export_onnx
from unbraid_training.checkpoint import Checkpoint, load_checkpoint
from unbraid_training.data.sources import open_dataset

BATCH_SIZES = (1, 8, 32)
CANDIDATES = 400
LOWER = (Precision.FP16, Precision.INT8)
CONSOLE = Console(highlight=False, width=140)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What lower precisions save and cost.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what unbraid train wrote")
    parser.add_argument("--data", type=Path, required=True, help="the folder that it learnt from")
    parser.add_argument("--rounds", type=int, default=30, help="of timing, the median counts")
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.run_dir)
    dataset, _ = open_dataset(arguments.data)
    users = HeldOutUsers.of(checkpoint, dataset)
    vectors_ID = checkpoint.item_vectors_ID
    sizes, vectors = {Precision.FP32: vectors_ID.nbytes}, dict[Precision, ItemVectors]({Precision.FP32: vectors_ID})
    for precision in LOWER:
        stored_ID = compact(vectors_ID, precision)
        sizes[precision], vectors[precision] = stored_ID.nbytes, CompactVectors(stored_ID)
    with TemporaryDirectory() as folder:
        files = encoder_files(checkpoint, users, Path(folder))
        encoders = {precision: ExportedEncoder(file) for precision, file in files.items()}
        CONSOLE.print(encoder_table(files, encoders, users, vectors_ID, arguments.rounds))
        CONSOLE.print(vector_table(sizes, vectors, arguments.rounds))
        CONSOLE.print(quality_table(checkpoint, users, encoders, vectors))


def encoder_files(checkpoint: Checkpoint, users: HeldOutUsers, folder: Path) -> dict[Precision, Path]:
    """The encoder at every precision."""
    files = {precision: folder / f"{precision}.onnx" for precision in Precision}
    export_onnx(checkpoint.encoder, checkpoint.settings.dimension, files[Precision.FP32], {})
    for precision in LOWER:
        compact_encoder(files[Precision.FP32], files[precision], precision, users.batches(checkpoint.item_vectors_ID))
    return files


def encoder_table(
    files: dict[Precision, Path],
    encoders: dict[Precision, ExportedEncoder],
    users: HeldOutUsers,
    vectors_ID: FloatArray,
    rounds: int,
) -> Table:
    """Size, distance and time of each encoder, on the longest histories there are."""
    longest = sorted(users.histories, key=len)[-max(BATCH_SIZES) :]
    table = table_of("encoder", "bytes", "lowest cosine", *(f"us a request, B={size}" for size in BATCH_SIZES))
    spent: dict[Precision, list[str]] = {precision: [] for precision in Precision}
    for size in BATCH_SIZES:
        batches = [pad_histories(longest[start : start + size], vectors_ID) for start in range(0, len(longest), size)]
        calls = {name: encode_all(encoder, batches) for name, encoder in encoders.items()}
        for name, cpu_s in cpu_seconds(calls, rounds).items():
            spent[name].append(f"{cpu_s / len(longest) * 1e6:.0f}")
    probe = pad_histories(longest, vectors_ID)
    expected_BKD = encoders[Precision.FP32].encode(probe).vectors_BKD
    for name, encoder in encoders.items():
        cosine_BK = np.einsum("bkd,bkd->bk", encoder.encode(probe).vectors_BKD, expected_BKD)
        table.add_row(name, f"{files[name].stat().st_size:,}", f"{cosine_BK.min():.6f}", *spent[name])
    return table


def encode_all(encoder: ExportedEncoder, batches: Sequence[HistoryBatch]) -> Callable[[], None]:
    """A call that encodes all batches."""

    def call() -> None:
        for batch in batches:
            encoder.encode(batch)

    return call


def vector_table(sizes: dict[Precision, int], vectors: dict[Precision, ItemVectors], rounds: int) -> Table:
    """Size of each kind of vectors, and the time to gather candidates."""
    table = table_of("item vectors", "bytes", f"us to gather {CANDIDATES}")
    rows = np.random.default_rng(1).integers(0, len(vectors[Precision.FP32]), (64, CANDIDATES))
    calls = {name: gather_all(kind, list(rows)) for name, kind in vectors.items()}
    for name, cpu_s in cpu_seconds(calls, rounds).items():
        table.add_row(name, f"{sizes[name]:,}", f"{cpu_s / len(rows) * 1e6:.1f}")
    return table


def gather_all(vectors: ItemVectors, rows: Sequence[np.ndarray]) -> Callable[[], None]:
    """A call that gathers the rows of all requests."""

    def call() -> None:
        for row_C in rows:
            vectors[row_C]

    return call


def quality_table(
    checkpoint: Checkpoint,
    users: HeldOutUsers,
    encoders: dict[Precision, ExportedEncoder],
    vectors: dict[Precision, ItemVectors],
) -> Table:
    """What the pipeline finds with each pair of precisions."""
    judged = {
        (encoder, kind): users.judge(serving_pipeline(checkpoint, encoders[encoder], vectors[kind]))
        for encoder in Precision
        for kind in Precision
    }
    before = judged[Precision.FP32, Precision.FP32]
    table = table_of("encoder", "vectors", "task", "profile", "recall@50", "change", "ndcg@50", "change")
    for asked in before:
        for (encoder, kind), after in judged.items():
            change = TaskChange.of(*asked, before[asked], after[asked], checkpoint.settings.seed)
            recall, ndcg = change.metrics["recall@50"], change.metrics["ndcg@50"]
            cells = f"{recall.compressed:.4f}", change_cell(recall), f"{ndcg.compressed:.4f}", change_cell(ndcg)
            table.add_row(encoder, kind, *asked, *cells)
    return table


def change_cell(metric: MetricChange) -> str:
    """The relative change with its interval."""
    return f"{metric.relative_change:+.2%} \\[{metric.low:+.2%}, {metric.high:+.2%}]"


def table_of(*columns: str) -> Table:
    """An empty table of plain columns."""
    return Table(*columns, box=None, pad_edge=False)


def cpu_seconds(calls: dict[Precision, Callable[[], None]], rounds: int) -> dict[Precision, float]:
    """The median CPU time of each call in this thread; the calls take turns, so that a busy moment hits all."""
    spent: dict[Precision, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started_s = time.thread_time()
            call()
            spent[name].append(time.thread_time() - started_s)
    return {name: float(np.median(times)) for name, times in spent.items()}


if __name__ == "__main__":
    main()
