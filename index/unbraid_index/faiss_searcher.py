"""FAISS behind the Searcher port.

An index file is memory-mapped and never changed: the processes of a server share its pages, and FAISS aborts the
process when a mapped index is written to. The file may be replaced by a rename while it is mapped, but not truncated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCodes, FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import checked_allowed, checked_queries, padded_hits
from unbraid_index.family import Family, family_named
from unbraid_index.lists import list_imbalance
from unbraid_index.ordering import best_rows
from unbraid_index.planner import FilterPlanner
from unbraid_index.rescoring import rescored
from unbraid_index.scan import scan

__all__ = ["FaissSearcher"]

SMALLEST_SIZE_LIMIT = 64 * 2**20
"""Bytes. FAISS also reckons with a table of lists times codes that is not in the file, and larger than a small one."""

_limits_lock = threading.Lock()


class FaissSearcher:
    """Search in an index whose positions are the rows. Safe to call from several threads at once.

    Scores are exact and equal ones are ordered by row. An answer is as long as asked for, whatever the index finds by
    itself: for a query that comes up short it looks further, in the end at everything.

    Args:
        index: an inner-product index of the family; it is never changed.
        family: what kind of index it is.
        search_params: a value for each of the family's knobs; they travel with each call, so the index carries no
            state that threads could share.
        item_vectors_ID: the vectors that the index was built over.
        filter_costs: what a search among allowed rows costs in lists; without, it is not done there.
        filter_codes: how the rows of recurring filters are searched by their codes; without, they have none.

    Raises:
        IncompatibleError: parameters that this kind of index does not have.
    """

    def __init__(
        self,
        index: faiss.Index,
        family: Family,
        search_params: Mapping[str, int],
        item_vectors_ID: ItemVectors,
        filter_costs: FilterCosts | None = None,
        filter_codes: FilterCodes | None = None,
    ) -> None:
        if set(search_params) != family.knobs:
            wanted = ", ".join(sorted(family.knobs)) or "none"
            raise IncompatibleError(
                f"search parameters {dict(search_params)} do not fit family {family.name}, which has {wanted}"
            )
        self._index = index
        # Crossing over to C++ for them takes longer than adding two numbers.
        self._size, self._dimension = index.ntotal, index.d
        self._family = family
        self._search_params = search_params
        self._item_vectors_ID = item_vectors_ID
        self._products = None if family.products is None else family.products(index, item_vectors_ID)
        self._planner = FilterPlanner.of(index, item_vectors_ID, filter_costs, filter_codes)

    @classmethod
    def open(
        cls,
        path: Path,
        family_name: str,
        search_params: Mapping[str, int],
        item_vectors_ID: ItemVectors,
        filter_costs: FilterCosts | None = None,
        filter_codes: FilterCodes | None = None,
    ) -> FaissSearcher:
        """Memory-map an index file. FAISS notices little damage: check the file's sha256 before.

        Raises:
            IntegrityError: FAISS cannot read the file.
            IncompatibleError: there is no such family, or the file holds another kind of index, or another metric.
        """
        family = family_named(family_name)
        with _size_limits(path.stat().st_size):
            try:
                index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            except RuntimeError as error:
                raise IntegrityError(f"{path.name}: FAISS cannot read it; build the index again") from error
        if not isinstance(index, family.index_class) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise IncompatibleError(
                f"{path.name}: holds a {type(index).__name__}, not a {family_name} inner-product index"
            )
        return cls(index, family, search_params, item_vectors_ID, filter_costs, filter_codes)

    @property
    def size(self) -> int:
        """Number of items that can be found."""
        return self._size

    @property
    def dimension(self) -> int:
        """D, the length of a query vector."""
        return self._dimension

    @property
    def index(self) -> faiss.Index:
        """What is searched; it must not be changed."""
        return self._index

    @property
    def list_imbalance(self) -> float:
        """The longest inverted list over the mean one; 1 where there are none. It takes a look at every list."""
        return list_imbalance(self._index)

    @property
    def most_effort(self) -> int:
        """The largest effort of the family's walk that is worth trying on this index."""
        return self._family.walk.most(self._index)

    def tuned_to(self, search_params: Mapping[str, int]) -> FaissSearcher:
        """The same index, searched with other parameters."""
        return FaissSearcher(self._index, self._family, search_params, self._item_vectors_ID)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port."""
        query_QD = checked_queries(query_QD, count, self.dimension)
        if allowed_I is not None:
            return self._planner.search(query_QD, count, checked_allowed(allowed_I, self.size))
        reach = min(count, self.size)
        row_QC, score_QC = self._found(query_QD, reach)
        for look_further in (self._found_in_all, self._scanned):
            short_Q = row_QC[:, -1] < 0
            if not short_Q.any():
                break
            row_QC[short_Q], score_QC[short_Q] = look_further(query_QD[short_Q], reach)
        return padded_hits(row_QC, score_QC, count, SearchPlan.INDEX)

    def search_unfilled(self, query_QD: FloatArray, count: int) -> SearchHits:
        """What the index finds by itself, -1 behind the last row where that is less than ``count``.

        Tuning must not count on filling: a setting that lives on it looks good and is slow.
        """
        return SearchHits(*self._found(query_QD, min(count, self.size)))

    def _found(self, query_QD: FloatArray, reach: int) -> tuple[IntArray, FloatArray]:
        if self._products is not None:
            return self._products.search(query_QD, reach, self._family.effort(self._search_params))
        return self._found_by_faiss(query_QD, reach, self._family.parameters(self._search_params, self._depth(reach)))

    def _found_in_all(self, query_QD: FloatArray, reach: int) -> tuple[IntArray, FloatArray]:
        return self._found_by_faiss(query_QD, reach, self._family.walk.filling(self._index, self._depth(reach)))

    def _scanned(self, query_QD: FloatArray, reach: int) -> tuple[IntArray, FloatArray]:
        """A graph may not lead to every row, and a fast scan drops rows of the lowest possible score."""
        return scan(self._item_vectors_ID, np.arange(self.size), query_QD, reach)

    def _found_by_faiss(
        self, query_QD: FloatArray, reach: int, parameters: faiss.SearchParameters | None
    ) -> tuple[IntArray, FloatArray]:
        score_QS, row_QS = self._index.search(query_QD, self._depth(reach), params=parameters)
        if self._family.lossy:
            return rescored(self._item_vectors_ID, row_QS, query_QD, reach)
        return best_rows(row_QS, score_QS, reach)

    def _depth(self, reach: int) -> int:
        return min(self._family.depth(self._search_params, reach), self.size)


@contextmanager
def _size_limits(file_size_bytes: int) -> Iterator[None]:
    """Make FAISS refuse sizes inside a file that are larger than the file and 64 MiB, instead of allocating them.

    The limits belong to the process, so they hold for one reader at a time and are put back.
    """
    with _limits_lock:
        vector_byte_limit = faiss.get_deserialization_vector_byte_limit()
        loop_limit = faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(max(file_size_bytes, SMALLEST_SIZE_LIMIT))
        faiss.set_deserialization_loop_limit(file_size_bytes)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(vector_byte_limit)
            faiss.set_deserialization_loop_limit(loop_limit)
