"""Rebuilds and swaps releases under a server that answers a steady load, and says what its callers noticed.

    python -m benchmarks.swap [--items 20000] [--clients 8] [--rate 5] [--rounds 20]

Two releases differ in the titles of their items. A round is ``unbraid index rebuild --activate`` of the one that is
not active, then ``unbraid release gc``; it ends when the server answers from the child. The clients ask from a process
of their own, each at its rate however long the answers take, and latency counts from the moment at which a call was
due. Prints failed calls, answers in which release_id and titles do not belong together, latencies before and during the
rounds and around takeovers, and the server's resident memory. That goes up and down with every takeover, so what counts
is the mean of a round, over five rounds when it has settled and over the last five. Exits with 1 where a call failed or
mixed two releases, or memory grew by more than a twentieth. A round takes 3 to 8 s, as fast as processes start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.process_watch import watched
from benchmarks.server_process import UNBRAID, server_process
from benchmarks.steady_load import Call, parse_calls
from benchmarks.synthetic_release import RECALL, publish_synthetic_release
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid_client import UnbraidClient
from unbraid_core.release import ReleaseStore

TITLES = ("even", "odd")
QUIET_S = 20.0
# Rounds that are not judged, those of which the mean is taken, and how much it may grow.
SETTLED_AFTER, ALIKE = 5, 5
MOST_GROWTH = 0.05
POLL_S, WATCH_S = 0.05, 0.25
NICE = 10
# What counts as around a takeover: it takes a fraction of a second, and the one that is seen has just ended.
BEFORE_S, AFTER_S = 1.0, 0.5


@contextmanager
def load(target: str, options: argparse.Namespace, folder: Path, calls: list[Call]) -> Iterator[None]:
    """Clients that call as long as the context lasts; their calls are in the list afterwards."""
    folder.mkdir()
    until = folder / "enough"
    order = ["--target", target, "--items", str(options.items), "--until", str(until)]
    order += ["--clients", str(options.clients), "--rate", str(options.rate)]
    command = [sys.executable, "-m", "benchmarks.steady_load", *order]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            until.touch()
        calls += parse_calls(process.communicate()[0])


def unbraid(*arguments: str) -> None:
    """Run a command beside the server, at a lower priority."""
    with subprocess.Popen([*UNBRAID, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def play_round(store: ReleaseStore, client: UnbraidClient, title_of: dict[str, str]) -> float:
    """Rebuild the release that is not active, activate the child, and wait for the server to answer from it.

    Returns:
        When it did, epoch seconds.
    """
    where = ["--releases", str(store.root)]
    base = store.previous_id()
    assert base
    unbraid("index", "rebuild", "--release", base, "--recall", str(RECALL), "--activate", *where)
    child = store.current_id()
    assert child
    title_of[child] = title_of[base]
    while client.get_status().release.release_id != child:
        time.sleep(POLL_S)
    taken_over_s = time.time()
    unbraid("release", "gc", "--keep", "0", *where)
    return taken_over_s


def around(calls: Sequence[Call], takeovers_s: Sequence[float]) -> list[Call]:
    """Those that were due around a takeover."""
    return [call for call in calls if any(-BEFORE_S < call.due_s - each_s < AFTER_S for each_s in takeovers_s)]


def mixed_up(calls: Sequence[Call], title_of: dict[str, str]) -> list[Call]:
    """Those whose items are not those of the release that is said to have answered."""
    return [call for call in calls if call.release_id and call.titles != {title_of[call.release_id]}]


def settled_mb(memory_mb: Sequence[float]) -> tuple[float, float]:
    """Means over the first rounds that count, and over the last."""
    counted = memory_mb[min(SETTLED_AFTER, len(memory_mb) - 1) :]
    return fmean(counted[:ALIKE]), fmean(counted[-ALIKE:])


def report(
    quiet: Sequence[Call],
    busy: Sequence[Call],
    takeovers_s: Sequence[float],
    title_of: dict[str, str],
    memory_mb: Sequence[float],
) -> Table:
    """What the callers noticed, and how memory went, a mean for each round."""
    calls = [*quiet, *busy]
    first_mb, last_mb = settled_mb(memory_mb)
    table = Table("", "")
    table.add_row("calls", f"{len(calls):,}, answered by {len({call.release_id for call in calls})} releases")
    table.add_row("failed", str(sum(call.release_id is None for call in calls)))
    table.add_row("mixed", str(len(mixed_up(calls, title_of))))
    parts = ("before the rounds", quiet), ("during the rounds", busy), ("around takeovers", around(busy, takeovers_s))
    for name, part in parts:
        p50, p99, longest = np.quantile([call.latency_s for call in part], [0.5, 0.99, 1.0]) * 1e3
        table.add_row(f"latency {name}", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {longest:.1f} ms")
    change = f"{100 * (last_mb / first_mb - 1):+.1f}%"
    table.add_row("resident memory", f"{first_mb:.0f} MB settled, {last_mb:.0f} MB at the end ({change})")
    table.add_row("  each round", ", ".join(f"{each_mb:.0f}" for each_mb in memory_mb))
    return table


def main() -> int:
    """Run all rounds and print the table; exit with 1 where callers noticed or memory grew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second of each client")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    quiet: list[Call] = []
    busy: list[Call] = []
    takeovers_s: list[float] = []
    memory_mb: list[float] = []
    with TemporaryDirectory() as folder:
        store = ReleaseStore(Path(folder) / "releases")
        now = datetime.now(UTC)
        title_of = {publish_synthetic_release(store, options.items, title, now): title for title in TITLES}
        for release_id in title_of:
            store.activate(release_id, now)
        with server_process(store.root) as (target, process_id), UnbraidClient(target) as client:
            with load(target, options, Path(folder) / "quiet", quiet):
                time.sleep(QUIET_S)
            with load(target, options, Path(folder) / "busy", busy):
                for _ in track(range(options.rounds), "rounds"):
                    with watched(process_id, WATCH_S) as samples:
                        takeovers_s.append(play_round(store, client, title_of))
                    memory_mb.append(fmean(sample.resident_mb for sample in samples))
    console = Console(width=110)
    console.print(report(quiet, busy, takeovers_s, title_of, memory_mb))
    first_mb, last_mb = settled_mb(memory_mb)
    failed = [call for call in (*quiet, *busy) if call.release_id is None]
    is_met = not failed and not mixed_up([*quiet, *busy], title_of) and last_mb <= (1 + MOST_GROWTH) * first_mb
    console.print(f"{options.rounds} rounds: {'met' if is_met else 'not met'}")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
