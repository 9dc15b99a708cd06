"""The live catalogue against an oracle, and what changes cost.

    python benchmarks/catalogue.py agree [--operations 100000]
    python benchmarks/catalogue.py costs [--items 100000]

``agree`` changes a catalogue in random ways, one change at a time, and searches after every one: the answer has to be
what a plain comparison with all living vectors says. Every 1,000 changes the view is made anew from the SQLite file, as
a restarted server makes it, and has to list the same items.

``costs`` prints how long changes, and a search for four interests of 200 items each, take with a growing delta. For the
search as many items of the release are deleted as are new.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console

from unbraid_core.catalogue import Catalogue
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.live.delta import Delta
from unbraid_core.live.live_catalogue import LiveCatalogue
from unbraid_core.live.released_items import ReleasedItems
from unbraid_core.types import FloatArray
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.live_searcher import LiveSearcher
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

console = Console()

SPACE = "space"
INTERESTS, DEPTH = 4, 200
DELTA_SIZES = (0, 1_000, 5_000, 20_000, 50_000)
ROUNDS = 30


def unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> FloatArray:
    """Around 200 centres, as item vectors are."""
    centre_MD = np.random.default_rng(0).normal(size=(200, dimension))
    vectors_ND = centre_MD[rng.integers(0, 200, count)] + rng.normal(size=(count, dimension))
    unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return unit_ND


def released_items(
    vectors_ID: FloatArray, index: faiss.Index, family: str, search_params: dict[str, int]
) -> ReleasedItems:
    """A release of items that have nothing but a vector, an id and a title."""
    ids = [f"item-{row}" for row in range(len(vectors_ID))]
    return ReleasedItems(
        space_id=SPACE,
        catalogue=Catalogue.of(ids, ids),
        item_vectors_ID=vectors_ID,
        searcher=FaissSearcher(index, family_named(family), search_params, vectors_ID),
        log_popularity_I=np.linspace(-1.0, -9.0, len(vectors_ID), dtype=np.float32),
        categories=None,
        ranker_inputs=None,
        encode=None,
    )


def live_searcher(delta: Delta) -> LiveSearcher:
    """Over what is alive."""
    return LiveSearcher(delta.released.searcher, delta.added.vector_ND, delta.tombstone_I)


class Oracle:
    """All living vectors in one matrix, and nothing clever.

    Args:
        vectors_ID: of the release.
        room: how many distinct items can come.
    """

    def __init__(self, vectors_ID: FloatArray, room: int) -> None:
        count, dimension = vectors_ID.shape
        self.vectors_SD = np.zeros((count + room, dimension), np.float32)
        self.vectors_SD[:count] = vectors_ID
        self.released_ID = vectors_ID
        self.slot = {f"item-{row}": row for row in range(count)}
        self.is_living_S = np.arange(count + room) < count

    def apply(self, change: ItemChange) -> None:
        """What a change means."""
        slot = self.slot.setdefault(change.item_id, len(self.slot))
        if change.vector is not None:
            self.vectors_SD[slot] = change.vector.vector_D
        self.is_living_S[slot] = change.item is not None

    def best(self, query_QD: FloatArray, count: int) -> FloatArray:
        """The best scores of all living items: [Q, count]."""
        score_QS = query_QD @ self.vectors_SD.T
        score_QS[:, ~self.is_living_S] = -np.inf
        best_QC: FloatArray = -np.sort(-score_QS, axis=1)[:, :count]
        return best_QC

    def ids(self) -> list[str]:
        """Of the living items, in order."""
        return sorted(item_id for item_id, slot in self.slot.items() if self.is_living_S[slot])


def random_change(rng: np.random.Generator, oracle: Oracle, number: int) -> ItemChange:
    """Half of the changes are about items of the release; a third deletes."""
    known = rng.random() < 0.5
    item_id = f"item-{rng.integers(len(oracle.released_ID))}" if known else f"new-{rng.integers(3_000)}"
    if rng.random() < 1 / 3:
        return ItemChange(item_id, None)
    item = Item(item_id, f"version {number}")
    is_living = item_id in oracle.slot and bool(oracle.is_living_S[oracle.slot[item_id]])
    if is_living and rng.random() < 0.3:
        # Keeps its vector: the store hands it on.
        return ItemChange(item_id, item, ItemVector(SPACE, oracle.vectors_SD[oracle.slot[item_id]].copy()))
    return ItemChange(item_id, item, ItemVector(SPACE, unit_vectors(rng, 1, oracle.vectors_SD.shape[1])[0]))


def agree(operation_count: int) -> None:
    """Print how many searches agreed with the oracle; the first that does not ends the run."""
    rng = np.random.default_rng(1)
    vectors_ID = unit_vectors(rng, 2_000, 16)
    index = faiss.IndexFlatIP(16)
    index.add(vectors_ID)
    released = released_items(vectors_ID, index, "flat", {})
    delta, oracle = Delta.none(released), Oracle(vectors_ID, room=3_000)
    query_QD = unit_vectors(rng, 2, 16)
    search_count = restart_count = 0
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteCatalogueStore(Path(folder) / "catalogue.sqlite")
        pending: list[ItemChange] = []
        for number in range(1, operation_count + 1):
            change = replace(random_change(rng, oracle, number), sequence=number)
            delta = delta.followed_by([change])
            oracle.apply(change)
            pending.append(change)
            count = (1, 20, 300)[number % 3]
            found = live_searcher(delta).search(query_QD, count)
            np.testing.assert_allclose(found.score_QC, oracle.best(query_QD, count), atol=1e-5)
            search_count += 1
            if number % 100 == 0:
                store.apply(pending)
                pending.clear()
                query_QD = unit_vectors(rng, 2, 16)
            if number % 1_000 == 0:
                delta = restarted(released, store, delta, oracle)
                restart_count += 1
        store.close()
    seconds = time.perf_counter() - began_s
    console.print(
        f"{operation_count:,} changes, {search_count:,} searches between them and {restart_count} restarts: "
        f"all agreed with the oracle, in {seconds:.0f} s"
    )


def restarted(released: ReleasedItems, store: SqliteCatalogueStore, delta: Delta, oracle: Oracle) -> Delta:
    """The view that a new process makes of the file; both views list what the oracle has."""
    again = Delta.none(released).followed_by(store.changes(0))
    assert again.sequence == delta.sequence
    for view in (delta, again):
        catalogue = LiveCatalogue(view)
        rows = np.array(catalogue.page("", len(catalogue) + 1), np.int64)
        assert catalogue.ids(rows) == oracle.ids()
    return again


def costs(item_count: int) -> None:
    """Print the cost of changes and searches as a delta grows."""
    rng = np.random.default_rng(2)
    vectors_ID = unit_vectors(rng, item_count, 64)
    list_count = 1 << round(np.log2(4 * np.sqrt(item_count)))
    coarse = faiss.IndexFlatIP(64)
    coarse.add(vectors_ID[rng.choice(item_count, list_count, replace=False)])
    index = faiss.IndexIVFFlat(coarse, 64, list_count, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    index.add(vectors_ID)
    released = released_items(vectors_ID, index, "ivf_flat", {"nprobe": 24})
    delta = Delta.none(released)
    fresh_ND = unit_vectors(rng, DELTA_SIZES[-1] + 1_000, 64)
    query_QD = unit_vectors(rng, INTERESTS, 64)
    console.print(
        "| new items | upsert one | delete one | upsert 1,000 | store one | search |\n|---|---|---|---|---|---|"
    )
    for size in DELTA_SIZES:
        delta = delta.followed_by(upserts(fresh_ND, len(delta.row_of), size - len(delta.row_of)))
        measured = [f"{value:.2f} ms" for value in costs_of(delta, fresh_ND, query_QD)]
        console.print(f"| {size:,} | {' | '.join(measured)} |")


def costs_of(delta: Delta, fresh_ND: FloatArray, query_QD: FloatArray) -> Iterator[float]:
    """Milliseconds of each column."""
    size = len(delta.row_of)
    one, many = upserts(fresh_ND, size, 1), upserts(fresh_ND, size, 1_000)
    for changes in (one, [ItemChange("item-5", None)], many):
        yield median_ms(partial(delta.followed_by, changes))
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteCatalogueStore(Path(folder) / "catalogue.sqlite")
        store.apply(upserts(fresh_ND, 0, size))
        yield median_ms(partial(store.apply, one))
        store.close()
    searcher = live_searcher(delta.followed_by([ItemChange(f"item-{row}", None) for row in range(size)]))
    yield median_ms(partial(searcher.search, query_QD, DEPTH))


def upserts(fresh_ND: FloatArray, start: int, count: int) -> Sequence[ItemChange]:
    """New items with consecutive numbers."""
    return [
        ItemChange(f"new-{n}", Item(f"new-{n}", f"the new item {n}"), ItemVector(SPACE, fresh_ND[n]), sequence=n + 1)
        for n in range(start, start + count)
    ]


def median_ms(work: Callable[[], object]) -> float:
    """Of several rounds."""
    taken_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        work()
        taken_s.append(time.perf_counter() - began_s)
    return 1e3 * float(np.median(taken_s))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("agree").add_argument("--operations", type=int, default=100_000)
    commands.add_parser("costs").add_argument("--items", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.command == "agree":
        agree(arguments.operations)
    else:
        costs(arguments.items)


if __name__ == "__main__":
    main()
