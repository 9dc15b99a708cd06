"""What the batcher adds to the wait of a lone caller: two servers at once, asked in turns.

    python -m benchmarks.lone_caller --releases DIR [--rounds 5] [--turns 80] [--turn-s 0.05]

One server has the batcher, the other answers every call in its own thread (``inline_server``); neither has a cache of
interests, and both keep to the same core. One caller asks the one for a moment, then the other; whatever changes with
time changes for both. The release is one of ``benchmarks.serving --releases``; it is made where there is none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import numpy as np
from benchmarks.closed_loop import METHODS
from benchmarks.closed_loop_grpc import grpc_latencies
from benchmarks.core_shares import core_shares, running_on
from benchmarks.server_process import server_process
from benchmarks.serving import USERS, publish
from benchmarks.serving_peers import inline_process
from benchmarks.serving_report import spread
from benchmarks.serving_requests import recommend_requests
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

BATCHER, INLINE = "unbraid", "unbraid without batcher"
# Of a round: what each call of a server took, in seconds.
Round = Mapping[str, list[float]]


def main() -> int:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--releases", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=80, help="of each server in a round")
    parser.add_argument("--turn-s", type=float, default=0.05, help="how long one is")
    options = parser.parse_args()
    publish(options.releases, options.items)
    requests = cycle([each.SerializeToString() for each in recommend_requests(options.items, USERS)])
    with ExitStack() as stack:
        targets = running(stack, options.releases)
        # The first round warms up.
        _, *rounds = [play(targets, requests, options.turns, options.turn_s) for _ in range(options.rounds + 1)]
    Console(width=120).print(table(rounds))
    return 0


def running(stack: ExitStack, releases: Path) -> Mapping[str, str]:
    """Where both servers listen; this process has the core of the load from now on."""
    cores = core_shares(os.sched_getaffinity(0))
    with running_on(cores.servers):
        batcher, _ = stack.enter_context(server_process(releases, pin_workers="true", interest_cache_mb="0"))
        inline, _ = stack.enter_context(inline_process(releases))
    stack.enter_context(running_on(cores.load))
    return {BATCHER: batcher, INLINE: inline}


def play(targets: Mapping[str, str], requests: Iterator[bytes], turns: int, turn_s: float) -> Round:
    """Ask in turns."""
    latencies_s: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(turns):
        for name, target in targets.items():
            latencies_s[name] += grpc_latencies(METHODS["recommend"], requests, target, 1, turn_s)
    return latencies_s


def table(rounds: list[Round]) -> Table:
    """Quantiles of each server, and how they compare."""
    columns = Table("", "p50 ms", "p90 ms", "mean ms", box=MARKDOWN)
    measures: list[Callable[[list[float]], float]] = [
        lambda latencies_s: float(np.quantile(latencies_s, 0.5)),
        lambda latencies_s: float(np.quantile(latencies_s, 0.9)),
        lambda latencies_s: float(np.mean(latencies_s)),
    ]
    for name in (BATCHER, INLINE):
        columns.add_row(name, *(spread((1e3 * of(each[name]) for each in rounds), ".2f") for of in measures))
    ratios = (spread((of(each[BATCHER]) / of(each[INLINE]) for each in rounds), ".2f") for of in measures)
    columns.add_row("ratio", *ratios)
    return columns


if __name__ == "__main__":
    sys.exit(main())
