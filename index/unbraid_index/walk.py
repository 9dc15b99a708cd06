"""How a search goes through an index, and how it is told to look harder."""

from __future__ import annotations

from typing import Protocol

import faiss

__all__ = ["Everything", "Graph", "NearestLists", "Walk"]

MOST_LISTS_SHARE = 1 / 4
"""Scanning lists costs more an item than scanning the whole catalogue in one go."""
MOST_EF = 2_048


class Walk(Protocol):
    """Turns an effort into FAISS's parameters, which travel with each call: the index has no state to share."""

    @property
    def knob(self) -> str | None:
        """What the effort is called in the manifest; None where there is nothing to choose."""
        ...

    def most(self, index: faiss.Index, /) -> int:
        """The largest effort that is worth trying."""
        ...

    def parameters(self, effort: int, depth: int, /) -> faiss.SearchParameters | None:
        """A search with this effort for ``depth`` rows."""
        ...

    def filling(self, index: faiss.Index, depth: int, /) -> faiss.SearchParameters | None:
        """A search that goes further than any effort does, for a query that comes up short."""
        ...


class Everything:
    """Compares with every vector."""

    knob = None

    def most(self, _index: faiss.Index, /) -> int:
        """There is one way only."""
        return 1

    def parameters(self, _effort: int, _depth: int, /) -> None:
        """A fast scan takes none at all."""

    def filling(self, _index: faiss.Index, _depth: int, /) -> None:
        """There is one way only."""


class NearestLists:
    """Scans the lists whose centroids are nearest to the query."""

    knob = "nprobe"

    def most(self, index: faiss.Index, /) -> int:
        """A quarter of the lists, or the only one."""
        assert isinstance(index, faiss.IndexIVF)
        return max(1, int(index.nlist * MOST_LISTS_SHARE))

    def parameters(self, effort: int, _depth: int, /) -> faiss.SearchParameters:
        """The nearest ``effort`` lists."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = effort
        return parameters

    def filling(self, index: faiss.Index, _depth: int, /) -> faiss.SearchParameters:
        """All lists may be scanned, nearest first; where FAISS can, it ends with the list that fills the answer."""
        assert isinstance(index, faiss.IndexIVF)
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = index.nlist
        parameters.max_codes = 1
        parameters.ensure_topk_full = True
        return parameters


class Graph:
    """Follows the edges of an HNSW graph towards the query, keeping the best ``ef`` vectors in sight."""

    knob = "ef"

    def most(self, index: faiss.Index, /) -> int:
        """More than that is slower than comparing with everything in catalogues that a graph is tried on."""
        return min(MOST_EF, index.ntotal)

    def parameters(self, effort: int, depth: int, /) -> faiss.SearchParameters:
        """At least as many vectors in sight as the answer has."""
        wanted: faiss.SearchParameters = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]  # not in the stubs
            efSearch=max(effort, depth)
        )
        return wanted

    def filling(self, index: faiss.Index, depth: int, /) -> faiss.SearchParameters:
        """The largest effort."""
        return self.parameters(self.most(index), depth)
