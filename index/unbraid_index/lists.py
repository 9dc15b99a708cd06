"""The inverted lists of an IVF as a map of the vector space: which rows lie where, and how far they are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray

__all__ = ["RowLists", "list_imbalance"]

SAMPLES_PER_LIST = 16
LISTS_AT_ONCE = 1_024
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RowLists:
    """L lists.

    Attributes:
        rows: of each list, in no order; they lie in the index, so that has to stay while the lists are used.
        size_L: number of rows of each list.
        sample_row_LS: up to 16 rows of each list, repeated where it has fewer; row 0 where it has none.
        centre_LD: about the mean of the vectors of each list.
        spread_L: about the standard deviation of the inner products of a unit vector with those of a list.
    """

    rows: Sequence[IntArray]
    size_L: IntArray
    sample_row_LS: IntArray
    centre_LD: FloatArray
    spread_L: FloatArray

    @classmethod
    def of(cls, index: faiss.Index, item_vectors_ID: ItemVectors) -> RowLists | None:
        """The lists of an IVF, or of one below a refinement; None where it has none of its own space, or just one."""
        if isinstance(index, faiss.IndexRefine):
            return cls.of(faiss.downcast_index(index.base_index), item_vectors_ID)
        if not isinstance(index, faiss.IndexIVF) or index.nlist == 1:
            return None
        rows = [_rows_of(index, number) for number in range(index.nlist)]
        sample_row_LS = np.array([_sample(row_N) for row_N in rows])
        direction_LD = index.quantizer.reconstruct_n(0, index.nlist)
        direction_LD /= np.maximum(np.linalg.norm(direction_LD, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        reach_L = _reach(direction_LD, sample_row_LS, item_vectors_ID)
        # What is left of the unit length lies in no direction more than in another.
        spread_L = np.sqrt(np.maximum(1.0 - reach_L**2, np.finfo(np.float32).eps) / item_vectors_ID.shape[1])
        return cls(
            rows=rows,
            size_L=np.array([len(row_N) for row_N in rows]),
            sample_row_LS=sample_row_LS,
            centre_LD=direction_LD * reach_L[:, None],
            spread_L=spread_L.astype(np.float32),
        )


def list_imbalance(index: faiss.Index) -> float:
    """The longest list of an IVF over the mean one: a search that looks into it costs that many times more.

    1 where the lists are equally long, or where the index has none.
    """
    if isinstance(index, faiss.IndexRefine):
        return list_imbalance(faiss.downcast_index(index.base_index))
    if not isinstance(index, faiss.IndexIVF) or index.ntotal == 0:
        return 1.0
    lists = index.invlists
    assert lists is not None
    longest: int = max(lists.list_size(number) for number in range(index.nlist))
    return longest * index.nlist / index.ntotal


def _rows_of(index: faiss.IndexIVF, number: int) -> IntArray:
    lists = index.invlists
    assert lists is not None
    size = lists.list_size(number)
    rows: IntArray = faiss.rev_swig_ptr(lists.get_ids(number), size) if size else NO_ROWS
    return rows


def _sample(row_N: IntArray) -> IntArray:
    if len(row_N) == 0:
        return np.zeros(SAMPLES_PER_LIST, np.int64)
    spaced_S: IntArray = row_N[np.linspace(0, len(row_N) - 1, SAMPLES_PER_LIST).astype(np.int64)]
    return spaced_S


def _reach(direction_LD: FloatArray, sample_row_LS: IntArray, item_vectors_ID: ItemVectors) -> FloatArray:
    """How far the vectors of a list reach into its direction, on average: float32 [L]."""
    reach_L = np.empty(len(direction_LD), np.float32)
    for start in range(0, len(direction_LD), LISTS_AT_ONCE):
        part = slice(start, start + LISTS_AT_ONCE)
        mean_LD = item_vectors_ID[sample_row_LS[part]].mean(axis=1)
        reach_L[part] = np.einsum("ld,ld->l", mean_LD, direction_LD[part])
    return reach_L
