"""Our index beside hnswlib, usearch and ScaNN: same vectors, same users, same process, one thread.

    pip install -e '.[dev,bench]' -c constraints.txt
    OMP_NUM_THREADS=1 python -m benchmarks.retrieval [--sets clustered unclustered uneven] [--items 100000 1000000]
        [--exports EXPORT_DIR ...] [--list-length 200] [--engines unbraid hnswlib usearch scann] [--build-threads 4]

Every engine is tuned with one half of the users to the fastest setting whose merged recall has a 95% lower bound of at
least 0.99, and measured with the other half: ours tunes itself, the others by trying ladders of their own settings. A
request is the 4 interests of a user, 200 items each; with --exports they are held-out users with their own quotas, or
with --list-length for each interest. Engines then take turns, so that a busy machine hits all alike.

Prints for each set the time to build (ours with all its families and tuning), what has to be in memory, latency and
merged recall of a request, and how our median compares: with each engine, and with the fastest that reaches the recall,
of whose time we aim at no more than 1.1. Only the other engines build with --build-threads; all search with one. Runs
share nothing, so several may go on side by side: give each a core, as with ``taskset -c 3``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks.engines import ENGINES, Engine, Ours, Setting
from benchmarks.vector_sets import KINDS, VectorSet, generated, trained
from rich.console import Console
from rich.table import Table

from unbraid_core.types import DoubleArray
from unbraid_index.exact import ExactSearcher
from unbraid_index.progress import unwatched
from unbraid_index.recall import Measurement, RecallProbe, Search

TARGET = 0.99
MOST_OF_BEST = 1.1


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
        # On a ladder each setting takes longer and finds more than the one before: look for the first that reaches it.
        lowest, highest = 0, len(ladder)
        while lowest < highest:
            middle = (lowest + highest) // 2
            measured = probe.measure(engine.search(ladder[middle]))
            most_thorough = max(most_thorough, (measured.lower_bound, ladder[middle]), key=lambda tried: tried[0])
            if measured.lower_bound >= TARGET:
                reached.append((measured.p50_ms, ladder[middle]))
                highest = middle
            elif reached and measured.p50_ms > min(reached, key=lambda tried: tried[0])[0]:
                break
            else:
                lowest = middle + 1
    return min(reached, key=lambda tried: tried[0])[1] if reached else most_thorough[1]


def enter(engine: Engine, vectors: VectorSet, tuning: RecallProbe, threads: int, console: Console) -> Contestant:
    """Build and tune an engine."""
    started_s = time.perf_counter()
    engine.build(vectors.item_vectors_ID, vectors.queries, threads)
    build_s = time.perf_counter() - started_s
    setting = tuned(engine, tuning)
    tuned_s = time.perf_counter() - started_s - build_s
    summary = f"{engine.name} built in {build_s:.0f} s, tuned in {tuned_s:.0f}: {engine.describe(setting)}"
    console.print(f"{vectors.name}: {summary}", style="dim")
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
    medians_ms = [float(np.median(time_ms)) for time_ms in times]
    ours_ms = next((ms for one, ms in zip(contestants, medians_ms, strict=True) if isinstance(one.engine, Ours)), None)
    item_count, dimension = vectors.item_vectors_ID.shape
    title = f"{vectors.name}, {item_count:,} x {dimension}"
    table = Table(title=title, caption=_compared(contestants, measured, medians_ms, ours_ms))
    for head in ("engine", "setting", "build s", "MB", "p50 ms", "p99 ms", "recall", "at least", "unbraid / it"):
        table.add_column(head, justify="left" if head in ("engine", "setting") else "right")
    for contestant, one, time_ms, median_ms in zip(contestants, measured, times, medians_ms, strict=True):
        engine = contestant.engine
        table.add_row(
            engine.name,
            engine.describe(contestant.setting),
            f"{contestant.build_s:.0f}",
            f"{engine.size_bytes() / 1e6:.0f}",
            f"{median_ms:.3f}",
            f"{np.quantile(time_ms, 0.99):.3f}",
            f"{one.recall:.4f}",
            f"{one.lower_bound:.4f}" + ("" if one.lower_bound >= TARGET else " misses"),
            "" if ours_ms is None else f"{ours_ms / median_ms:.2f}",
        )
    return table


def _compared(
    contestants: Sequence[Contestant],
    measured: Sequence[Measurement],
    medians_ms: Sequence[float],
    ours_ms: float | None,
) -> str:
    peers_ms = {
        contestant.engine.name: median_ms
        for contestant, one, median_ms in zip(contestants, measured, medians_ms, strict=True)
        if one.lower_bound >= TARGET and not isinstance(contestant.engine, Ours)
    }
    if ours_ms is None or not peers_ms:
        return "nothing to compare with"
    best = min(peers_ms, key=lambda name: peers_ms[name])
    ratio = ours_ms / peers_ms[best]
    verdict = "within" if ratio <= MOST_OF_BEST else "over"
    compared = f"unbraid takes {ratio:.2f} of the time of {best}, the fastest other that reaches {TARGET}"
    return f"{compared}: {verdict} {MOST_OF_BEST}"


def main() -> None:
    """Run the sets one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", nargs="+", type=int, default=[100_000])
    parser.add_argument("--sets", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--exports", nargs="*", type=Path, default=[])
    parser.add_argument("--list-length", type=int)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--build-threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=150)
    makers = [partial(generated, kind, count, options.seed) for count in options.items for kind in options.sets]
    makers += [partial(trained, folder, options.seed, options.list_length) for folder in options.exports]
    for make_vectors in makers:
        vectors = make_vectors()
        tuning, held_out = RecallProbe.ask(ExactSearcher(vectors.item_vectors_ID), vectors.queries, unwatched).split()
        engines = [make() for name in options.engines for make in ENGINES[name]]
        contestants = [enter(engine, vectors, tuning, options.build_threads, console) for engine in engines]
        console.print(report(vectors, contestants, held_out, options.rounds))


if __name__ == "__main__":
    main()
