"""What answers of reduced effort save, and what they keep of the full ones, in the pipeline of a release.

    python -m benchmarks.effort [--items 100000] [--releases DIR]

Asks the active release of a folder, or one that is made up, in each of its profiles, in batches of 32, and prints CPU
microseconds a request, the best of some rounds in which both efforts take turns; how many candidates are ranked; and
what share of the first 10 and of all 50 items of a full answer are in the other one as well, in any order. The users
are made up: each has 50 events of the last 60 days, on items that are near three others. Ends within two minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.memory import prepared
from rich.console import Console
from rich.table import Table

from unbraid_core.release import ReleaseStore
from unbraid_core.types import Effort, History, Profile, Query, Ranking
from unbraid_server.allocator import keep_memory_together
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model

USERS, BATCH, ROUNDS = 512, 32, 5
EVENTS, LIMIT, FIRST = 50, 50, 10
TASTES, NEAR = 3, 60
LONGEST_AGO_S = 60 * 86_400.0


def made_up(model: Model, rng: np.random.Generator) -> list[Query]:
    """Users with a few tastes, one taste after the other."""
    now_s = model.manifest.training.last_event_time.timestamp()
    pipeline = model.pipeline
    queries = []
    for row_T in rng.integers(0, len(model.catalogue), (USERS, TASTES)):
        near_TC = pipeline.searcher.search(pipeline.item_vectors_ID[row_T], min(NEAR, pipeline.searcher.size)).row_QC
        taste_N = np.sort(rng.integers(0, TASTES, EVENTS))
        row_N = near_TC[taste_N, rng.integers(0, near_TC.shape[1], EVENTS)]
        time_s_N = np.sort(now_s - rng.uniform(0.0, LONGEST_AGO_S, EVENTS))
        queries.append(Query(History(row_N, time_s_N, np.zeros(EVENTS, np.int64)), now_s, LIMIT))
    return queries


def answers(model: Model, queries: Sequence[Query]) -> tuple[list[Ranking], float]:
    """The answers, and the CPU microseconds of each."""
    began_s, rankings = time.process_time(), []
    for start in range(0, len(queries), BATCH):
        rankings += model.pipeline.recommend(queries[start : start + BATCH])
    return rankings, (time.process_time() - began_s) / len(queries) * 1e6


def kept(full: Sequence[Ranking], other: Sequence[Ranking], first: int) -> float:
    """Mean share of the first items of full answers that are among as many of the others."""
    shares = [
        len(np.intersect1d(one.row_R[:first], two.row_R[:first])) / len(one.row_R[:first])
        for one, two in zip(full, other, strict=True)
    ]
    return float(np.mean(shares))


def add_rows(table: Table, model: Model, queries: Sequence[Query], profile: Profile) -> None:
    """A row for each effort."""
    asked = {effort: [replace(query, profile=profile, effort=effort) for query in queries] for effort in Effort}
    costs_us: dict[Effort, list[float]] = {effort: [] for effort in Effort}
    found: dict[Effort, list[Ranking]] = {}
    for effort in [*Effort] * ROUNDS:
        found[effort], cost_us = answers(model, asked[effort])
        costs_us[effort].append(cost_us)
    for effort, rankings in found.items():
        full = found[Effort.FULL]
        cost_us, full_us = min(costs_us[effort]), min(costs_us[Effort.FULL])
        table.add_row(
            f"{profile}, {effort}",
            f"{np.mean([ranking.candidate_count for ranking in rankings]):.0f}",
            f"{cost_us:,.0f}",
            f"{cost_us / full_us - 1:+.0%}",
            f"{kept(full, rankings, FIRST):.1%}",
            f"{kept(full, rankings, LIMIT):.1%}",
        )


def main() -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000, help="of a release that is made up")
    parser.add_argument("--releases", type=Path, help="a folder with an active release; made up where it is not given")
    options = parser.parse_args()
    keep_memory_together()
    with TemporaryDirectory() as folder:
        store = ReleaseStore(options.releases) if options.releases else prepared(Path(folder), options.items)
        model = load_model(store.open(), Device.CPU)
        queries = made_up(model, np.random.default_rng(0))
        index = model.manifest.index
        table = Table("profile, effort", "candidates", "CPU us", "change", f"first {FIRST} kept", f"{LIMIT} kept")
        for profile in model.profiles:
            add_rows(table, model, queries, profile)
    console = Console(width=110)
    console.print(f"{len(model.catalogue):,} items, {len(model.pipeline.half_life_s_K)} interests, {index.factory}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
