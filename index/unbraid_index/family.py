"""The index families: kinds of FAISS indexes to choose from.

The order of ``FAMILIES`` is from simple to complicated. A row of the catalogue is its position in the index. Families
that round the vectors are *lossy*: they only propose rows, more than are asked for, and the scores come from the item
vectors of the release, which so are stored once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import faiss

from unbraid_core.errors import IncompatibleError
from unbraid_core.item_vectors import ItemVectors
from unbraid_index.product import FlatProducts, ListProducts, Products
from unbraid_index.walk import Everything, Graph, NearestLists, Walk

__all__ = ["FAMILIES", "SHORTLIST", "Family", "family_named", "list_count"]

SHORTLIST = "shortlist_percent"
"""Search parameter of lossy families: how many rows they propose, in percent of those asked for."""

ROWS_PER_LONG_LIST = 256
"""At least so many on average where there are few lists; shorter ones take longer to go to than to look into."""

EQUAL_NORMS = 1.01
"""Largest norm over the smallest, up to which norms count as equal."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of index.

    Attributes:
        name: in manifests and reports.
        factory: how ``faiss.index_factory`` calls it; ``{lists}``, ``{few}`` (a quarter of them, or less) and
            ``{dimension}`` are filled in.
        index_class: what FAISS makes of it.
        walk: how it is searched.
        bits: for each dimension of a vector.
        extra_bytes: for each vector: its id in a list, its edges in a graph.
        lossy: whether it rounds the vectors.
        mapped: whether FAISS reads it in place, so that processes share it; else each process has a copy.
        fewest_items: in smaller catalogues it is not tried.
        most_items: in larger ones neither.
        equal_norms: it finds little where norms differ.
        products: how its vectors are searched without FAISS, where that is faster.
        slow_to_make: making it takes so long that one over a sample has to promise something first.
    """

    name: str
    factory: str
    index_class: type[faiss.Index]
    walk: Walk
    bits: int
    extra_bytes: int = 0
    lossy: bool = False
    mapped: bool = True
    fewest_items: int = 0
    most_items: int | None = None
    equal_norms: bool = False
    products: Callable[[faiss.Index, ItemVectors], Products] | None = None
    slow_to_make: bool = False

    @property
    def knobs(self) -> frozenset[str]:
        """The names of its search parameters."""
        knobs = [self.walk.knob, SHORTLIST if self.lossy else None]
        return frozenset(knob for knob in knobs if knob is not None)

    def factory_of(self, item_count: int, dimension: int) -> str:
        """How ``faiss.index_factory`` calls the index of a catalogue."""
        lists = list_count(item_count)
        few = max(1, min(lists // 4, item_count // ROWS_PER_LONG_LIST))
        return self.factory.format(lists=lists, few=few, dimension=dimension)

    def size_bytes(self, item_count: int, dimension: int) -> int:
        """About how much memory it takes, beside the item vectors."""
        return item_count * (self.bits * dimension // 8 + self.extra_bytes)

    def ruled_out(self, item_count: int, norm_spread: float) -> str | None:
        """Why it is not tried, None where it is."""
        if item_count < self.fewest_items:
            return f"fewer than {self.fewest_items:,} items"
        if self.most_items is not None and item_count > self.most_items:
            return f"more than {self.most_items:,} items"
        if self.equal_norms and norm_spread > EQUAL_NORMS:
            return f"the longest vector is {norm_spread:.2f} times the shortest"
        return None

    @property
    def gentlest(self) -> dict[str, int]:
        """The search parameters that cost least."""
        return {knob: 100 if knob == SHORTLIST else 1 for knob in self.knobs}

    def parameters(self, search_params: Mapping[str, int], depth: int) -> faiss.SearchParameters | None:
        """What FAISS is told with each call.

        Args:
            search_params: one value for each of ``knobs``.
            depth: how many rows are asked for.
        """
        return self.walk.parameters(self.effort(search_params), depth)

    def effort(self, search_params: Mapping[str, int]) -> int:
        """How hard a search with these parameters looks."""
        return 1 if self.walk.knob is None else search_params[self.walk.knob]

    def depth(self, search_params: Mapping[str, int], count: int) -> int:
        """How many rows the index proposes where ``count`` are asked for."""
        return math.ceil(count * search_params[SHORTLIST] / 100) if self.lossy else count


_LISTS, _EVERYTHING = NearestLists(), Everything()

FAMILIES = (
    Family("flat", "Flat", faiss.IndexFlat, _EVERYTHING, bits=32, most_items=2_000_000, products=FlatProducts.of),
    Family("sq_fp16", "SQfp16", faiss.IndexScalarQuantizer, _EVERYTHING, bits=16, lossy=True, most_items=2_000_000),
    Family(
        "pq_fast_scan",
        "PQ{dimension}x4fs",
        faiss.IndexPQFastScan,
        _EVERYTHING,
        bits=4,
        lossy=True,
        mapped=False,
        fewest_items=1_000,
    ),
    # Many vectors in each of a few lists: one product for each list.
    Family(
        "ivf_product",
        "IVF{few},Flat",
        faiss.IndexIVFFlat,
        _LISTS,
        bits=32,
        extra_bytes=8,
        fewest_items=10_000,
        most_items=2_000_000,
        products=ListProducts.of,
    ),
    Family("ivf_flat", "IVF{lists},Flat", faiss.IndexIVFFlat, _LISTS, 32, 8, fewest_items=10_000, most_items=2_000_000),
    Family("ivf_sq8", "IVF{lists},SQ8", faiss.IndexIVFScalarQuantizer, _LISTS, 8, 8, lossy=True, fewest_items=10_000),
    Family(
        "ivf_pq_fast_scan",
        "IVF{few},PQ{dimension}x4fsr",
        faiss.IndexIVFPQFastScan,
        _LISTS,
        bits=4,
        extra_bytes=8,
        lossy=True,
        mapped=False,
        fewest_items=10_000,
    ),
    Family(
        "ivf_hnsw_sq8",
        "IVF{lists}_HNSW32,SQ8",
        faiss.IndexIVFScalarQuantizer,
        _LISTS,
        bits=8,
        extra_bytes=8,
        lossy=True,
        fewest_items=1_000_000,
    ),
    Family(
        "hnsw",
        "HNSW32",
        faiss.IndexHNSWFlat,
        Graph(),
        bits=32,
        extra_bytes=280,
        fewest_items=20_000,
        most_items=1_000_000,
        equal_norms=True,
        slow_to_make=True,
    ),
)


def family_named(name: str) -> Family:
    """The family that a manifest names.

    Raises:
        IncompatibleError: this version has no such family.
    """
    for family in FAMILIES:
        if family.name == name:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise IncompatibleError(f"index family {name!r} is none of {known}; build the index again with this version")


def list_count(item_count: int) -> int:
    """Number of IVF lists: the power of two nearest to 4 sqrt(items), on a log scale."""
    return int(2 ** round(math.log2(4 * math.sqrt(item_count))))
