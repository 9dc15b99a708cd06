"""Measures what a request costs a server, next to what the pipeline alone costs.

    python -m benchmarks.serving [--items 100000] [--seconds 3] [--rounds 5] [--releases DIR] [--json FILE]

Every server runs in a process of its own and answers the same requests: histories of 50 events, 50 items each. A round
asks each of them in turn, so that what else runs on the machine disturbs all alike; the table shows medians over the
rounds. CPU is that of the server's processes, not that of the load.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmarks.cpu_time import cpu_s
from benchmarks.ordered_process import OrderedProcess
from benchmarks.server_process import server_process
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid_core.release import ReleaseStore

COMPUTE = "pipeline alone, 32 at once"
RECOMMEND = "/unbraid.v1.RecommendationService/Recommend"
USERS = 4_000
BATCH = 32
CALLERS = (1, 8, 32, 128)
TITLE = "A title of about forty letters, as usual"

# What one measurement says: calls, wall_s, cpu_s, and of servers p50_s, p99_s and failed.
Measurement = Mapping[str, float]
Contender = Callable[[float], Measurement]


def main() -> int:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--releases", type=Path, help="keep the release there, for the next run")
    parser.add_argument("--json", type=Path, help="write all measurements")
    parser.add_argument("--only", help="contenders whose names hold this, and the pipeline alone")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.releases or Path(stack.enter_context(TemporaryDirectory())) / "releases"
        contenders = all_contenders(stack, published(folder, options.items), options.items)
        if options.only:
            contenders = {name: ask for name, ask in contenders.items() if name == COMPUTE or options.only in name}
        rounds = play(contenders, options.rounds, options.seconds)
    Console(width=120).print(table(rounds))
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))
    return int(any(each.get("failed", 0) for measurements in rounds.values() for each in measurements))


def published(folder: Path, item_count: int) -> Path:
    """The folder, with an active release in it."""
    store = ReleaseStore(folder)
    if store.current_id() is None:
        now = datetime.now(UTC)
        store.activate(publish_synthetic_release(store, item_count, TITLE, now), now)
    return folder


def all_contenders(stack: ExitStack, releases: Path, item_count: int) -> dict[str, Contender]:
    """Everything that is measured, running, by name."""
    made = str(item_count), str(USERS)
    pipeline = stack.enter_context(OrderedProcess("benchmarks.compute_loop", str(releases), *made))
    load = stack.enter_context(OrderedProcess("benchmarks.closed_loop", *made))
    target, process_id = stack.enter_context(server_process(releases))

    def unbraid(callers: int) -> Contender:
        def ask(seconds: float) -> Measurement:
            before_s = cpu_s(process_id)
            seen = load.ask(target=target, method=RECOMMEND, callers=callers, seconds=seconds)
            return {**seen, "cpu_s": cpu_s(process_id) - before_s}

        return ask

    return {
        COMPUTE: lambda seconds: pipeline.ask(batch=BATCH, seconds=seconds),
        **{f"unbraid, Recommend, {callers} callers": unbraid(callers) for callers in CALLERS},
    }


def play(contenders: Mapping[str, Contender], rounds: int, seconds: float) -> dict[str, list[Measurement]]:
    """Ask each once to warm it up, then each in every round."""
    for ask in contenders.values():
        ask(seconds)
    measurements: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for _ in track(range(rounds), "rounds"):
        for name, ask in contenders.items():
            measurements[name].append(ask(seconds))
    return measurements


def table(rounds: Mapping[str, list[Measurement]]) -> Table:
    """Medians over the rounds; ratios are formed within a round."""
    columns = Table("", "requests/s", "CPU us a request", "pipeline / CPU", "p50 ms", "p99 ms", "load us")
    computes_us = [1e6 * each["cpu_s"] / each["calls"] for each in rounds[COMPUTE]]
    for name, measurements in rounds.items():
        costs_us = [1e6 * each["cpu_s"] / each["calls"] for each in measurements]
        columns.add_row(
            name,
            f"{median(each['calls'] / each['wall_s'] for each in measurements):,.0f}",
            f"{median(costs_us):,.0f}",
            f"{median(compute / cost for compute, cost in zip(computes_us, costs_us, strict=True)):.2f}",
            *(
                f"{1e3 * median(each[quantile] for each in measurements):.1f}" if quantile in measurements[0] else ""
                for quantile in ("p50_s", "p99_s")
            ),
            f"{1e6 * median(each.get('load_cpu_s', 0) / each['calls'] for each in measurements):.0f}",
        )
    return columns


def median(values: Any) -> float:
    """Of some numbers."""
    return float(np.median(list(values)))


if __name__ == "__main__":
    sys.exit(main())
