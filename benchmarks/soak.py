"""Loads a server steadily for minutes, changes its catalogue and its release meanwhile, and looks whether it grows.

    python -m benchmarks.soak [--minutes 9] [--rate 100] [--items 20000]

Recommendations (open loop), batches of 32 (a tenth as many calls), an upsert of 20 items every second, always the same
items, and an activation of the other of two releases three times a minute. The kernel is asked every second for memory,
threads and open files of the server. The first two of the minutes are not judged, and have an activation every four
seconds, since memory settles by activations. With the releases to make before, all of it takes less than ten minutes on
a machine that does nothing else.

With every activation the cache of interests starts anew, so memory goes up and down; the slopes are those of least
squares through the means of whole periods between activations, with a 95% interval. The server grows where the whole
interval of its memory lies above 1 MB an hour, or that of its threads or files above 0. Exits with 1 where it grows, or
where a call failed other than by being shed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.process_watch import Sample, watched
from benchmarks.server_process import server_process
from benchmarks.synthetic_release import item_id, publish_synthetic_release
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from unbraid_client import Item, UnbraidClient
from unbraid_core.release import ReleaseStore
from unbraid_load import (
    CallKind,
    LoadPlan,
    LoadReport,
    OpenLoop,
    Question,
    Step,
    draw_histories,
    prepare,
    read_item_ids,
    run_load,
)

TITLES = ("even", "odd")
SUBJECTS, HISTORY, LONGEST, BATCH = 3_200, 30, 100, 32
WATCH_S, UPSERT_S, ACTIVATE_S, SAY_S = 1.0, 1.0, 20.0, 60.0
UPSERTED = 20
WARM_S, WARM_ACTIVATE_S = 120.0, 4.0
# What a server may gain in an hour.
MOST_GROWTH_H = {"anonymous_mb": 1.0, "threads": 0.0, "files": 0.0}

console = Console(width=110)


def slope_h(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """How much of something a process gains in an hour, and half the width of the 95% interval."""
    period_N = np.array([sample.time_s - samples[0].time_s for sample in samples]) // ACTIVATE_S
    # The last period may be a short one.
    of_period = [np.flatnonzero(period_N == period).tolist() for period in range(int(period_N[-1]))]
    of_period = [part for part in of_period if part]  # a machine that stood still took no samples
    hour_P = np.array([np.mean([samples[n].time_s for n in part]) for part in of_period]) / 3_600
    value_P = np.array([np.mean([getattr(samples[n], name) for n in part]) for part in of_period])
    centred_P = hour_P - hour_P.mean()
    slope = float(centred_P @ value_P / (centred_P @ centred_P))
    residual_P = value_P - value_P.mean() - slope * centred_P
    freedom = len(of_period) - 2
    error = float(np.sqrt(residual_P @ residual_P / freedom / (centred_P @ centred_P)))
    return slope, float(student.ppf(0.975, freedom)) * error


@contextmanager
def every(seconds: float, work: Callable[[int], object]) -> Iterator[list[BaseException]]:
    """Do some work at an interval, in a thread, as long as the context lasts; what it raised is in the list."""
    enough = threading.Event()
    raised: list[BaseException] = []

    def keep_working() -> None:
        start_s = time.monotonic()
        for number in count():
            if enough.wait(start_s + (number + 1) * seconds - time.monotonic()):
                return
            try:
                work(number)
            except Exception as error:  # noqa: BLE001 - it is counted, and the soak goes on
                raised.append(error)

    thread = threading.Thread(target=keep_working, name="soak")
    thread.start()
    try:
        yield raised
    finally:
        enough.set()
        thread.join()


def load(target: str, item_ids: Sequence[str], rate: float, seconds: float, kind: CallKind) -> LoadReport:
    """A steady open loop."""
    subjects = draw_histories(item_ids, SUBJECTS, HISTORY, LONGEST, time.time(), seed=0)
    loop = OpenLoop([Step(rate, seconds)])
    return run_load(LoadPlan(target, kind, prepare(kind, Question(), subjects, BATCH), loop, timeout_s=10.0))


def upsert(client: UnbraidClient, number: int) -> None:
    """Change some items, always the same."""
    client.upsert_items([Item(item_id(row), title=f"version {number}") for row in range(UPSERTED)])


def soak(
    client: UnbraidClient, target: str, process_id: int, release_ids: Sequence[str], options: argparse.Namespace
) -> tuple[list[Sample], list[LoadReport], list[BaseException]]:
    """All load at once; samples of the server, the reports of both loads, and what else failed."""
    item_ids = read_item_ids(client, options.items)
    seconds = 60 * options.minutes

    turns = cycle(release_ids)

    def activate(number: int) -> None:
        is_warm = (number + 1) * WARM_ACTIVATE_S > WARM_S
        if not is_warm or number % round(ACTIVATE_S / WARM_ACTIVATE_S) == 0:
            client.activate_release(next(turns))

    def say(number: int) -> None:
        last = samples[-1]
        progress = f"minute {number + 1} of {options.minutes:g}"
        console.print(f"{progress}: {last.anonymous_mb:.0f} MB, {last.threads} threads, {last.files} files")

    loads = ((options.rate, CallKind.RECOMMEND), (options.rate / 10, CallKind.BATCH_RECOMMEND))
    with (
        watched(process_id, WATCH_S) as samples,
        every(UPSERT_S, lambda number: upsert(client, number)) as upserts_failed,
        every(WARM_ACTIVATE_S, activate) as activations_failed,
        every(SAY_S, say),
        ThreadPoolExecutor(len(loads)) as pool,
    ):
        reports = list(pool.map(lambda each: load(target, item_ids, each[0], seconds, each[1]), loads))
    return samples, reports, [*upserts_failed, *activations_failed]


def verdict(samples: Sequence[Sample], reports: Sequence[LoadReport], failed: Sequence[BaseException]) -> bool:
    """Print what was found, and say whether all is well."""
    settled = [sample for sample in samples if sample.time_s >= samples[0].time_s + WARM_S]
    table = Table("", "least .. most", "slope an hour", "95%")
    grows = False
    for name, most_growth in MOST_GROWTH_H.items():
        values = [getattr(sample, name) for sample in settled]
        slope, half_width = slope_h(settled, name)
        grows |= not slope - half_width <= most_growth  # nor is it well where too few periods leave no interval
        interval = f"{slope - half_width:+.1f} .. {slope + half_width:+.1f}"
        table.add_row(name, f"{min(values):.0f} .. {max(values):.0f}", f"{slope:+.1f}", interval)
    console.print(table)
    unanswered = 0
    for report in reports:
        counts = {code: outcome.count for code, outcome in report.total.outcomes.items()}
        console.print(f"{report.total.offered_rps:.1f} calls a second: {counts}, {len(report.problems)} wrong answers")
        unanswered += sum(counts.values()) - counts.get("OK", 0) - counts.get("RESOURCE_EXHAUSTED", 0)
        unanswered += len(report.problems)
    for error in failed[:5]:
        console.print(f"failed: {error}", style="red", markup=False)
    is_well = not grows and not unanswered and not failed
    console.print("does not grow, and no call failed" if is_well else "not met", style="green" if is_well else "red")
    return is_well


def main() -> int:
    """Soak, print what was found; exit with 1 where the server grows or a call failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="more than three")
    parser.add_argument("--rate", type=float, default=100.0, help="recommendations a second")
    parser.add_argument("--items", type=int, default=20_000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        console.print("making two releases")
        store = ReleaseStore(Path(folder) / "releases")
        now = datetime.now(UTC)
        release_ids = [publish_synthetic_release(store, options.items, title, now) for title in TITLES]
        store.activate(release_ids[-1], now)
        with server_process(store.root) as (target, process_id), UnbraidClient(target, timeout_s=60.0) as client:
            found = soak(client, target, process_id, release_ids, options)
    return int(not verdict(*found))


if __name__ == "__main__":
    sys.exit(main())
