"""Activates two releases in turn under a server that answers a steady load, and says what its callers noticed.

    python -m benchmarks.activations [--items 50000] [--clients 8] [--rate 5] [--rounds 50]

The releases differ in the titles of their items, so an answer out of both would show. Load and table are those of
``python -m benchmarks.swap``, which rebuilds between its swaps; here a round is one call of ActivateRelease, trial and
all. The longest stall is the longest latency of a call that was due around a takeover. Exits with 1 where a call failed
or mixed two releases, or a stall was longer than 50 ms.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.process_watch import Sample
from benchmarks.server_process import server_process
from benchmarks.steady_load import Call
from benchmarks.swap import TITLES, around, load, mixed_up, report
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console
from rich.progress import track

from unbraid_client import UnbraidClient
from unbraid_core.release import ReleaseStore

QUIET_S = 10.0
LONGEST_STALL_S = 0.05


def main() -> int:
    """Activate, print the table; exit with 1 where callers noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second of each client")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    quiet: list[Call] = []
    busy: list[Call] = []
    memory_mb: list[float] = []
    takeovers_s: list[float] = []
    with TemporaryDirectory() as folder:
        store = ReleaseStore(Path(folder) / "releases")
        now = datetime.now(UTC)
        title_of = {publish_synthetic_release(store, options.items, title, now): title for title in TITLES}
        first, second = title_of
        store.activate(second, now)
        with server_process(store.root) as (target, process_id), UnbraidClient(target) as client:
            with load(target, options, Path(folder) / "quiet", quiet):
                time.sleep(QUIET_S)
            with load(target, options, Path(folder) / "busy", busy):
                for number in track(range(options.rounds), "activations"):
                    client.activate_release(second if number % 2 else first)
                    takeovers_s.append(time.time())
                    memory_mb.append(Sample.of(process_id).resident_mb)
    console = Console(width=110)
    console.print(report(quiet, busy, takeovers_s, title_of, memory_mb))
    stall_s = max(call.latency_s for call in around(busy, takeovers_s))
    failed = [call for call in (*quiet, *busy) if call.release_id is None]
    is_met = not failed and not mixed_up([*quiet, *busy], title_of) and stall_s <= LONGEST_STALL_S
    console.print(
        f"{options.rounds} activations, longest stall {stall_s * 1e3:.1f} ms: {'met' if is_met else 'not met'}"
    )
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
