"""A GPU against the CPU: encoder and exact search on the device, beside the encoder on the CPU and the FAISS index.

    OMP_NUM_THREADS=1 python -m benchmarks.device --device cuda [--items 100000] [--rounds 50]
        [--cuda-graphs | --tensorrt-cache DIR]

A release is generated and its index built (100,000 items take a minute or two). Then the same questions are answered by
both, in turns, alone and in batches of 8 and 32: histories of 50 events, 4 interests, 200 rows for each.

Prints what was chosen and why; the median time of each part, and that of carrying the interests of a batch to the
device, which is saved where the encoder has left them there; and how far the answers are from those of the CPU: the
largest difference of an interest, and of a score, and the share of rows that exact search on the CPU finds too. The
command fails where answers differ by more than rounding.

With ``--device cpu`` it runs anywhere: the graph that searches, on the CPU, says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console
from rich.table import Table

from unbraid_core.encoding import pad_histories
from unbraid_core.errors import DeviceUnavailable
from unbraid_core.release import Release, ReleaseStore
from unbraid_core.types import FloatArray, History, HistoryBatch, Query
from unbraid_index.exact import ExactSearcher
from unbraid_server.device import Device, choose_device
from unbraid_server.device_options import DeviceOptions, Retrieval, provider_options
from unbraid_server.model import Model, load_model

BATCH_SIZES = (1, 8, 32)
COUNT, LIMIT = 200, 50
NOW_S = 1.75e9
TOLERANCE, LEAST_SHARED = 1e-4, 0.999
CONSOLE = Console(width=120, highlight=False)


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """A batch, in the terms of each part."""

    queries: Sequence[Query]
    batch: HistoryBatch
    interests_QD: FloatArray


def questions(model: Model, size: int) -> Questions:
    """Seeded histories as long as the encoder takes them."""
    rng = np.random.default_rng(size)
    length = model.pipeline.max_history
    histories = [
        History(
            row_N=rng.integers(0, len(model.catalogue), length),
            time_s_N=np.sort(NOW_S - rng.uniform(0.0, 9e6, length)),
            action_N=rng.integers(0, len(model.action_index), length),
        )
        for _ in range(size)
    ]
    batch = pad_histories(histories, model.pipeline.item_vectors_ID)
    vectors_BKD = model.pipeline.encoder.encode(batch).vectors_BKD
    interests_QD = vectors_BKD.reshape(-1, vectors_BKD.shape[2])
    return Questions([Query(history, NOW_S, LIMIT) for history in histories], batch, interests_QD)


def parts(model: Model, asked: Questions) -> Mapping[str, Callable[[], object]]:
    """What is timed."""
    pipeline = model.pipeline
    return {
        "encode": lambda: pipeline.encoder.encode(asked.batch),
        "search": lambda: pipeline.searcher.search(asked.interests_QD, COUNT),
        "recommend": lambda: pipeline.recommend(asked.queries),
    }


def median_ms(calls: Mapping[str, Callable[[], object]], rounds: int) -> Mapping[str, float]:
    """Of rounds in which the calls take turns, after three that do not count."""
    taken_ms: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 3):
        for name, call in calls.items():
            began_s = time.perf_counter()
            call()
            taken_ms[name].append(1e3 * (time.perf_counter() - began_s))
    return {name: float(np.median(taken[3:])) for name, taken in taken_ms.items()}


def times(cpu: Model, other: Model, rounds: int) -> Table:
    """Medians, by batch size and part."""
    active = other.device.active
    table = table_of("batch", "part", "CPU, index ms", f"{active}, {other.retrieval.active} ms", "ratio")
    for size in BATCH_SIZES:
        asked = questions(cpu, size)
        calls = {f"cpu {name}": call for name, call in parts(cpu, asked).items()}
        calls |= {f"other {name}": call for name, call in parts(other, asked).items()}
        gpu_id = other.device.options.gpu_id
        calls["carry"] = partial(ort.OrtValue.ortvalue_from_numpy, asked.interests_QD, active.value, gpu_id)
        taken_ms = median_ms(calls, rounds)
        for name in parts(cpu, asked):
            before_ms, after_ms = taken_ms[f"cpu {name}"], taken_ms[f"other {name}"]
            table.add_row(str(size), name, f"{before_ms:.3f}", f"{after_ms:.3f}", f"{before_ms / after_ms:.2f}")
        table.add_row(str(size), f"carry {asked.interests_QD.nbytes:,} bytes", "", f"{taken_ms['carry']:.3f}", "")
    return table


def parity(cpu: Model, other: Model) -> tuple[Table, bool]:
    """How far answers are apart, and whether that is no more than rounding."""
    exact = ExactSearcher(cpu.released.item_vectors_ID)
    table = table_of("batch", "interests differ by", "scores differ by", "rows shared with exact search")
    agree = True
    for size in BATCH_SIZES:
        asked = questions(cpu, size)
        encoded_QD = other.pipeline.encoder.encode(asked.batch).vectors_BKD.reshape(asked.interests_QD.shape)
        interest_gap = float(np.abs(encoded_QD - asked.interests_QD).max())
        found, expected = (searcher.search(asked.interests_QD, COUNT) for searcher in (other.pipeline.searcher, exact))
        score_gap = float(np.abs(found.score_QC - expected.score_QC).max())
        pairs = zip(found.row_QC, expected.row_QC, strict=True)
        shared = float(np.mean([np.isin(found_C, wanted_C).mean() for found_C, wanted_C in pairs]))
        table.add_row(str(size), f"{interest_gap:.1e}", f"{score_gap:.1e}", f"{shared:.5f}")
        agree &= max(interest_gap, score_gap) <= TOLERANCE and shared >= LEAST_SHARED
    return table, agree


def table_of(*heads: str) -> Table:
    """An empty one."""
    table = Table()
    for head in heads:
        table.add_column(head, justify="left" if head == "part" else "right")
    return table


def compare(release: Release, device: Device, options: DeviceOptions, rounds: int) -> bool:
    """Print everything, and say whether the answers agree."""
    cpu = load_model(release, Device.CPU)
    other = load_model(release, device, options=options)
    CONSOLE.print(f"{len(cpu.catalogue):,} items, {cpu.manifest.index.family} {cpu.manifest.index.search_params}")
    CONSOLE.print(f"device: {other.device.active}, {other.device.reason}")
    CONSOLE.print(f"retrieval: {other.retrieval.active}, {other.retrieval.reason}")
    CONSOLE.print(f"providers: {provider_options(other.device.providers, options)}")
    CONSOLE.print(times(cpu, other, rounds))
    table, agree = parity(cpu, other)
    CONSOLE.print(table)
    return agree


def main() -> int:
    """Read the arguments, make a release and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=Device, choices=[Device.CUDA, Device.CPU], required=True)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--gpu-id", type=int, default=0)
    recorded = parser.add_mutually_exclusive_group()
    recorded.add_argument("--cuda-graphs", action="store_true")
    recorded.add_argument("--tensorrt-cache", type=Path)
    given = parser.parse_args()
    options = DeviceOptions(
        gpu_id=given.gpu_id,
        cuda_graphs=given.cuda_graphs,
        tensorrt_cache=given.tensorrt_cache,
        retrieval=Retrieval.DEVICE,
    )
    try:
        choose_device(given.device, ort.get_available_providers(), options)
    except DeviceUnavailable as error:
        parser.error(error.message)
    with tempfile.TemporaryDirectory() as folder:
        store = ReleaseStore(Path(folder))
        release_id = publish_synthetic_release(store, given.items, "an item", datetime.now(UTC))
        agree = compare(store.open(release_id), given.device, options, given.rounds)
    if not agree:
        CONSOLE.print("the answers differ by more than rounding")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
