"""What a filter does to recall and latency of the index.

    OMP_NUM_THREADS=1 python -m benchmarks.filters [--items 100000] [--sets clustered unclustered] [--users 60]

An index is built as ``unbraid index build`` does, to a merged recall of 0.99. Filters let 50 to 0.05% of the items
through: at random, those nearest to an item, and for each user those nearest to and farthest from one of their
interests.
A request is the 4 interests of a user, 200 items each. It is made with a filter that is new, with one that has come
often enough to be coded, and without, in turns, so that a busy machine hits all alike; times are those that the thread
was at work.

Prints for each filter how often which plan ran, the merged recall against exact search among the same items, the median
of the request and its ratio to that without the filter: all of it while the filter is new, and when it comes again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.vector_sets import KINDS, VectorSet, generated
from rich.console import Console
from rich.table import Table

from unbraid_core.types import BoolArray, FloatArray, SearchHits
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.progress import unwatched
from unbraid_index.recurring_filters import CODED_AT

SHARES = (0.5, 0.1, 0.02, 0.005, 0.0005)
COUNT = 200
SAME_SCORE = 1e-6
TURNS = 3
NEW, AGAIN = "new", "again"
CELLS = ("plan", "recall", "ms", "ratio")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What requests with one kind of filter came to."""

    recalls: list[float] = field(default_factory=list)
    filtered_s: list[float] = field(default_factory=list)
    plans: Counter[str] = field(default_factory=Counter)

    def cells(self, unfiltered_s: list[float]) -> list[str]:
        """Of a row of the table."""
        return [
            ", ".join(f"{plan} {count}" for plan, count in self.plans.most_common()),
            f"{np.mean(self.recalls):.4f}",
            f"{1e3 * float(np.median(self.filtered_s)):.3f}",
            f"{float(np.median(self.filtered_s)) / float(np.median(unfiltered_s)):.2f}",
        ]


def filters(vectors: VectorSet, share: float, seed: int) -> Iterator[tuple[str, Callable[[FloatArray], BoolArray]]]:
    """Kinds of filters: what lets a user's items through, given their interests [K, D]."""
    item_vectors_ID = vectors.item_vectors_ID
    rng = np.random.default_rng(seed)
    random_I = rng.random(len(item_vectors_ID)) < share
    region_I = _nearest(item_vectors_ID, item_vectors_ID[rng.integers(len(item_vectors_ID))], share)
    yield "random", lambda _: random_I
    yield "one region", lambda _: region_I
    yield "near the user", lambda interests_KD: _nearest(item_vectors_ID, interests_KD[0], share)
    yield "far from the user", lambda interests_KD: _nearest(item_vectors_ID, -interests_KD[0], share)


def _nearest(item_vectors_ID: FloatArray, vector_D: FloatArray, share: float) -> BoolArray:
    score_I = item_vectors_ID @ vector_D
    nearest_I: BoolArray = score_I >= np.quantile(score_I, 1.0 - share)
    return nearest_I


def merged_recall(found: SearchHits, exact: SearchHits) -> float:
    """The share of the union of the exact lists that the union of the found lists holds; equal scores count."""
    wanted = exact.row_QC[exact.row_QC >= 0]
    lowest_Q = np.where(exact.row_QC >= 0, exact.score_QC, np.inf).min(axis=1)
    good = found.row_QC[(found.row_QC >= 0) & (found.score_QC >= lowest_Q[:, None] - SAME_SCORE)]
    return len(np.unique(good)) / len(np.unique(wanted))


def measure(
    searchers: Mapping[str, FaissSearcher],
    oracle: ExactSearcher,
    interests_UKD: FloatArray,
    allow: Callable[[FloatArray], BoolArray],
) -> tuple[dict[str, Sample], list[float]]:
    """Ask for every user with the filter, new and again, and without: samples by searcher, and seconds without."""
    samples: dict[str, Sample] = {name: Sample() for name in searchers}
    unfiltered_s: list[float] = []
    for interests_KD in interests_UKD:
        allowed_I = allow(interests_KD)
        for _ in range(CODED_AT):
            searchers[AGAIN].search(interests_KD, COUNT, allowed_I)
        for _ in range(TURNS):
            for name, searcher in searchers.items():
                samples[name].filtered_s.append(_time_s(searcher, interests_KD, allowed_I))
                unfiltered_s.append(_time_s(searcher, interests_KD, None))
        exact = oracle.search(interests_KD, COUNT, allowed_I)
        for name, searcher in searchers.items():
            found = searcher.search(interests_KD, COUNT, allowed_I)
            samples[name].recalls.append(merged_recall(found, exact))
            samples[name].plans[found.plan] += 1
    return samples, unfiltered_s


def _time_s(searcher: FaissSearcher, interests_KD: FloatArray, allowed_I: BoolArray | None) -> float:
    started_s = time.thread_time()
    searcher.search(interests_KD, COUNT, allowed_I)
    return time.thread_time() - started_s


def report(vectors: VectorSet, user_count: int, seed: int) -> Table:
    """Build an index and measure every kind of filter on it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.faiss"
        spec = build_index(vectors.item_vectors_ID, vectors.queries, path, IndexSettings(), unwatched).spec
        searchers = {
            name: FaissSearcher.open(
                path, spec.family, spec.search_params, vectors.item_vectors_ID, spec.filter_costs, codes
            )
            for name, codes in ((NEW, None), (AGAIN, spec.filter_codes))
        }
        oracle = ExactSearcher(vectors.item_vectors_ID)
        item_count, dimension = vectors.item_vectors_ID.shape
        params = "".join(f" {name} {value}" for name, value in spec.search_params.items())
        title = f"{vectors.name}, {item_count:,} x {dimension}, {spec.family}{params}, recall {spec.recall:.4f}"
        table = Table(title=f"{title}; {spec.filter_costs}; {spec.filter_codes}")
        for head in ("share", "filter", "ms without", *(f"{name} {of}" for name in searchers for of in CELLS)):
            table.add_column(head, justify="left" if head == "filter" or head.endswith("plan") else "right")
        interests_UKD = vectors.queries.vectors_UKD[-user_count:]
        for share in SHARES:
            for kind, allow in filters(vectors, share, seed):
                samples, unfiltered_s = measure(searchers, oracle, interests_UKD, allow)
                cells = [cell for sample in samples.values() for cell in sample.cells(unfiltered_s)]
                table.add_row(f"{share:.2%}", kind, f"{1e3 * float(np.median(unfiltered_s)):.3f}", *cells)
    return table


def main() -> None:
    """Measure one set after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--sets", nargs="*", choices=KINDS, default=["clustered", "unclustered"])
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=150)
    for kind in options.sets:
        console.print(report(generated(kind, options.items, options.seed), options.users, options.seed))


if __name__ == "__main__":
    main()
