"""Our index beside hnswlib, usearch and ScaNN: same vectors, same users, same process, one thread.

    pip install -e '.[dev,bench]' -c constraints.txt
    OMP_NUM_THREADS=1 python -m benchmarks.retrieval [--items 100000] [--sets clustered unclustered uneven]
        [--engines unbraid hnswlib usearch scann] [--export EXPORT_DIR] [--rounds 5]

Every engine is tuned with one half of the users to the fastest setting whose merged recall has a 95% lower bound of at
least 0.99, and measured with the other half: ours tunes itself, the others by trying ladders of their own settings. A
request is the 4 interests of a user, 200 items each; with --export they are held-out users with their own quotas.
Engines then take turns, so that a busy machine hits all alike. Prints the time to build (ours with all its families and
tuning), what has to be in memory, and latency and merged recall of a request.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.engines import ENGINES, Engine, Setting
from benchmarks.vector_sets import KINDS, VectorSet, generated, trained
from rich.console import Console
from rich.table import Table

from unbraid_core.types import DoubleArray
from unbraid_index.exact import ExactSearcher
from unbraid_index.progress import unwatched
from unbraid_index.recall import Measurement, RecallProbe, Search

TARGET = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """An engine with its index, tuned."""

    engine: Engine
    setting: Setting
    search: Search
    build_s: float


def tuned(engine: Engine, probe: RecallProbe) -> Setting:
    """The fastest setting that reaches the target, the most thorough one where none does."""
    reached: list[tuple[float, Setting]] = []
    most_thorough: tuple[float, Setting] = (-1.0, {})
    for ladder in engine.settings():
        for setting in ladder:
            measured = probe.measure(engine.search(setting))
            most_thorough = max(most_thorough, (measured.lower_bound, setting), key=lambda tried: tried[0])
            if measured.lower_bound >= TARGET:
                reached.append((measured.p50_ms, setting))
                break
            if reached and measured.p50_ms > min(reached, key=lambda tried: tried[0])[0]:
                break
    return min(reached, key=lambda tried: tried[0])[1] if reached else most_thorough[1]


def enter(engine: Engine, vectors: VectorSet, tuning: RecallProbe, console: Console) -> Contestant:
    """Build and tune an engine."""
    started_s = time.perf_counter()
    engine.build(vectors.item_vectors_ID, vectors.queries)
    build_s = time.perf_counter() - started_s
    setting = tuned(engine, tuning)
    console.print(f"{vectors.name}: {engine.name} built in {build_s:.0f} s, {engine.describe(setting)}", style="dim")
    return Contestant(engine, setting, engine.search(setting), build_s)


def take_turns(contestants: Sequence[Contestant], probe: RecallProbe, rounds: int) -> Sequence[DoubleArray]:
    """Milliseconds of every request of every contestant; they take turns after each 50 users."""
    taken_s: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for start in range(0, probe.user_count, 50):
            for contestant, own_s in zip(contestants, taken_s, strict=True):
                users = range(start, min(start + 50, probe.user_count))
                own_s += [probe.timed(contestant.search, user)[1] for user in users]
    return [1e3 * np.array(own_s) for own_s in taken_s]


def report(vectors: VectorSet, contestants: Sequence[Contestant], held_out: RecallProbe, rounds: int) -> Table:
    """A row for each contestant, and how our median compares with the best of the others that reach the target."""
    measured = [held_out.measure(contestant.search) for contestant in contestants]
    times = take_turns(contestants, held_out, rounds)
    item_count, dimension = vectors.item_vectors_ID.shape
    table = Table(title=f"{vectors.name}, {item_count:,} x {dimension}{_compared(contestants, measured, times)}")
    for head in ("engine", "setting", "build s", "MB", "p50 ms", "p99 ms", "recall", "at least"):
        table.add_column(head, justify="left" if head in ("engine", "setting") else "right")
    for contestant, one, time_ms in zip(contestants, measured, times, strict=True):
        engine = contestant.engine
        table.add_row(
            engine.name,
            engine.describe(contestant.setting),
            f"{contestant.build_s:.0f}",
            f"{engine.size_bytes() / 1e6:.0f}",
            f"{np.median(time_ms):.3f}",
            f"{np.quantile(time_ms, 0.99):.3f}",
            f"{one.recall:.4f}",
            f"{one.lower_bound:.4f}",
        )
    return table


def _compared(contestants: Sequence[Contestant], measured: Sequence[Measurement], times: Sequence[DoubleArray]) -> str:
    medians = {
        contestant.engine.name: float(np.median(taken)) for contestant, taken in zip(contestants, times, strict=True)
    }
    own_ms = medians.pop("unbraid", None)
    peers = {
        contestant.engine.name: medians[contestant.engine.name]
        for contestant, one in zip(contestants, measured, strict=True)
        if contestant.engine.name in medians and one.lower_bound >= TARGET
    }
    if own_ms is None or not peers:
        return ""
    best = min(peers, key=lambda name: peers[name])
    return f": unbraid takes {own_ms / peers[best]:.2f} of the time of {best}"


def main() -> None:
    """Run the sets one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--sets", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--export", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=150)
    sets = [generated(kind, options.items, options.seed) for kind in options.sets]
    if options.export is not None:
        sets.append(trained(options.export, options.seed))
    for vectors in sets:
        oracle = ExactSearcher(vectors.item_vectors_ID)
        tuning, held_out = RecallProbe.ask(oracle, vectors.queries, unwatched).split()
        engines = [make() for name in options.engines for make in ENGINES[name]]
        contestants = [enter(engine, vectors, tuning, console) for engine in engines]
        console.print(report(vectors, contestants, held_out, options.rounds))


if __name__ == "__main__":
    main()
