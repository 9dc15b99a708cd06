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
from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import checked_allowed, checked_queries, padded_hits
from unbraid_index.family import Family
from unbraid_index.planner import FilterPlanner

__all__ = ["FaissSearcher"]

INDEX_CLASSES: dict[Family, type[faiss.Index]] = {"flat": faiss.IndexFlat, "ivf_flat": faiss.IndexIVFFlat}

_limits_lock = threading.Lock()


class FaissSearcher:
    """Search in a Flat or IVF index whose positions are the rows. Safe to call from several threads at once.

    Equal scores are ordered by row. An answer is as long as asked for, whatever the lists nearest to a query hold:
    a query that comes up short goes on to farther lists until it is full.

    Args:
        index: an inner-product index; it is never changed.
        search_params: ``{}`` for Flat, ``{"nprobe": lists to scan}`` for IVF; they travel with each call, so the
            index carries no state that threads could share.
        item_vectors_ID: the vectors that the index was built over, for a search among allowed rows.
        filter_costs: what such a search costs; without, it compares with every allowed row.

    Raises:
        IncompatibleError: parameters that this kind of index does not have.
    """

    def __init__(
        self,
        index: faiss.Index,
        search_params: Mapping[str, int],
        item_vectors_ID: ItemVectors,
        filter_costs: FilterCosts | None = None,
    ) -> None:
        is_ivf = isinstance(index, faiss.IndexIVFFlat)
        if set(search_params) != ({"nprobe"} if is_ivf else set()):
            raise IncompatibleError(f"search parameters {dict(search_params)} do not fit a {type(index).__name__}")
        self._index = index
        self._planner = FilterPlanner.of(index, item_vectors_ID, filter_costs)
        self._narrow: faiss.SearchParametersIVF | None = None
        self._filling: faiss.SearchParametersIVF | None = None
        if isinstance(index, faiss.IndexIVFFlat):
            self._narrow = faiss.SearchParametersIVF()
            self._narrow.nprobe = search_params["nprobe"]
            # All lists may be scanned, nearest first, but it ends with the list that fills the answer.
            self._filling = faiss.SearchParametersIVF()
            self._filling.nprobe = index.nlist
            self._filling.max_codes = 1
            self._filling.ensure_topk_full = True

    @classmethod
    def open(
        cls,
        path: Path,
        family: Family,
        search_params: Mapping[str, int],
        item_vectors_ID: ItemVectors,
        filter_costs: FilterCosts | None = None,
    ) -> FaissSearcher:
        """Memory-map an index file. FAISS notices little damage: check the file's sha256 before.

        Raises:
            IntegrityError: FAISS cannot read the file.
            IncompatibleError: the file holds another kind of index than ``family``, or another metric.
        """
        with _size_limits(path.stat().st_size):
            try:
                index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            except RuntimeError as error:
                raise IntegrityError(f"{path.name}: FAISS cannot read it; build the index again") from error
        if not isinstance(index, INDEX_CLASSES[family]) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise IncompatibleError(f"{path.name}: holds a {type(index).__name__}, not a {family} inner-product index")
        return cls(index, search_params, item_vectors_ID, filter_costs)

    @property
    def size(self) -> int:
        """Number of items that can be found."""
        return self._index.ntotal

    @property
    def dimension(self) -> int:
        """D, the length of a query vector."""
        return self._index.d

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port."""
        query_QD = checked_queries(query_QD, count, self.dimension)
        if allowed_I is not None:
            return self._planner.search(query_QD, count, checked_allowed(allowed_I, self.size))
        reach = min(count, self.size)
        score_QC, row_QC = self._index.search(query_QD, reach, params=self._narrow)
        short_Q = row_QC[:, -1] < 0
        if short_Q.any():
            score_QC[short_Q], row_QC[short_Q] = self._index.search(query_QD[short_Q], reach, params=self._filling)
        return padded_hits(*_ties_by_row(row_QC, score_QC), count, SearchPlan.INDEX)


def _ties_by_row(row_QC: IntArray, score_QC: FloatArray) -> tuple[IntArray, FloatArray]:
    """Order equal scores by row: FAISS leaves them in an order that depends on its internals."""
    if not (score_QC[:, 1:] == score_QC[:, :-1]).any():
        return row_QC, score_QC
    order_QC = np.lexsort((row_QC, -score_QC))
    return np.take_along_axis(row_QC, order_QC, axis=1), np.take_along_axis(score_QC, order_QC, axis=1)


@contextmanager
def _size_limits(file_size_bytes: int) -> Iterator[None]:
    """Make FAISS refuse sizes inside a file that are larger than the file, instead of allocating them.

    The limits belong to the process, so they hold for one reader at a time and are put back.
    """
    with _limits_lock:
        vector_byte_limit = faiss.get_deserialization_vector_byte_limit()
        loop_limit = faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(file_size_bytes)
        faiss.set_deserialization_loop_limit(file_size_bytes)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(vector_byte_limit)
            faiss.set_deserialization_loop_limit(loop_limit)
