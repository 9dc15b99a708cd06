"""Rows in 4 bits a dimension: a fast scan over the codes proposes rows, their exact scores decide.

The fast scan is that of FAISS, after Andre, Kermarrec and Le Scouarnec, "Cache locality is not enough" (2015): with 16
levels in each dimension, a table of products fits a register.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray, IntArray, RowArray
from unbraid_index.rescoring import rescored
from unbraid_index.scan import GATHERED_AT_ONCE, gathered

__all__ = ["MOST_CODED_ROWS", "CodedHits", "RowCodes"]

LEVELS = 16
REACH = 2.8
"""Standard deviations to both sides of the mean that the levels of a dimension span."""
MARGIN = 1.0
"""Standard errors of a coded score."""
SAMPLE = 4_096
MOST_CODED_ROWS = 262_144
"""It takes about 50 ms to make the codes of so many, and a request waits for it."""


@dataclass(frozen=True, slots=True, eq=False)
class CodedHits:
    """Rows and their exact inner products, best first, [Q, min(count, A)].

    ``sure_Q`` says for which queries hardly a better row can have been missed: what was not proposed would have to be
    better than its codes say by more than they err.
    """

    row_QC: IntArray
    score_QC: FloatArray
    sure_Q: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class RowCodes:
    """Some rows of the catalogue and their codes. Safe to search from several threads at once.

    Attributes:
        row_A: which rows, ascending.
        index: of their codes.
        error_D: how far the levels of a dimension are from what they stand for, root of the mean square.
    """

    row_A: RowArray
    index: faiss.IndexPQFastScan
    error_D: FloatArray

    @classmethod
    def of(cls, item_vectors_ID: ItemVectors, row_A: IntArray) -> RowCodes:
        """The codes of distinct ascending rows, at least one."""
        dimension = item_vectors_ID.shape[1]
        sample_S = row_A[np.linspace(0, len(row_A) - 1, min(SAMPLE, len(row_A))).astype(np.int64)]
        sample_SD = item_vectors_ID[sample_S]
        span_D = np.maximum(2 * REACH * sample_SD.std(axis=0), np.finfo(np.float32).eps)
        step_D = span_D / (LEVELS - 1)
        lowest_D = sample_SD.mean(axis=0) - span_D / 2
        level_DC = lowest_D[:, None] + step_D[:, None] * np.arange(LEVELS, dtype=np.float32)
        coded = faiss.IndexPQ(dimension, dimension, 4, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(level_DC.ravel(), coded.pq.centroids)
        faiss.copy_array_to_vector(_codes(item_vectors_ID, row_A, lowest_D, step_D).ravel(), coded.codes)
        coded.ntotal, coded.is_trained = len(row_A), True
        packed = faiss.IndexPQFastScan(coded)  # type: ignore[arg-type]  # the stubs lack this constructor
        nearest_SD = lowest_D + step_D * np.clip(np.rint((sample_SD - lowest_D) / step_D), 0, LEVELS - 1)
        return cls(row_A.astype(np.int32), packed, np.sqrt(np.square(sample_SD - nearest_SD).mean(axis=0)))

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return self.index.codes.size() + self.row_A.nbytes

    def search(
        self, item_vectors_ID: ItemVectors, query_QD: FloatArray, count: int, shortlist_percent: int
    ) -> CodedHits:
        """The best rows and their exact inner products.

        Args:
            item_vectors_ID: the vectors that were coded.
            query_QD: finite float32.
            count: at least 1.
            shortlist_percent: how many rows the codes propose, in percent of ``count``.
        """
        size = len(self.row_A)
        depth = min(math.ceil(count * shortlist_percent / 100), size)
        coded_score_QS, position_QS = self.index.search(query_QD, depth)
        row_QS = self.row_A.take(position_QS).astype(np.int64)
        # A fast scan drops rows of the lowest possible score.
        row_QS[position_QS < 0] = -1
        row_QC, score_QC = rescored(item_vectors_ID, row_QS, query_QD, min(count, size))
        if depth == size:
            return CodedHits(row_QC, score_QC, row_QC[:, -1] >= 0)
        error_Q = np.sqrt(np.square(query_QD) @ np.square(self.error_D))
        return CodedHits(row_QC, score_QC, score_QC[:, -1] - coded_score_QS[:, -1] >= MARGIN * error_Q)


def _codes(
    item_vectors_ID: ItemVectors, row_A: IntArray, lowest_D: FloatArray, step_D: FloatArray
) -> npt.NDArray[np.uint8]:
    """The nearest levels, two dimensions in a byte, the first in the lower half."""
    dimension = len(lowest_D)
    packed_AB = np.empty((len(row_A), -(-dimension // 2)), np.uint8)
    room_GD = np.empty((GATHERED_AT_ONCE, dimension), np.float32)
    level_GD = np.zeros((GATHERED_AT_ONCE, dimension + dimension % 2), np.uint8)
    # Truncation is what turns a number into a level.
    origin_D, scale_D = lowest_D - step_D / 2, 1.0 / step_D
    for start in range(0, len(row_A), GATHERED_AT_ONCE):
        row_G = row_A[start : start + GATHERED_AT_ONCE]
        scaled_GD = gathered(item_vectors_ID, row_G, room_GD[: len(row_G)]) - origin_D
        scaled_GD *= scale_D
        np.minimum(scaled_GD, LEVELS - 1, out=scaled_GD)
        level_GD[: len(row_G), :dimension] = np.maximum(scaled_GD, 0.0, out=scaled_GD)
        pair_GB = level_GD[: len(row_G)].view("<u2")
        packed_AB[start : start + len(row_G)] = pair_GB | (pair_GB >> 4)
    return packed_AB
