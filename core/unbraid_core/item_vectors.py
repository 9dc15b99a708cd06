"""Item vectors as the pipeline sees them: float32 rows, however many bytes they take in a release.

A NumPy array of float32 is one kind, and costs nothing. ``CompactVectors`` is the other: 2 bytes a number (fp16) or 1
(int8), widened row by row when they are gathered.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from unbraid_core.types import FloatArray, IntArray, Precision

__all__ = ["STORED_TYPE", "CompactVectors", "ItemVectors", "compact"]

STORED_TYPE: dict[Precision, type[np.float32 | np.float16 | np.int8]] = {
    Precision.FP32: np.float32,
    Precision.FP16: np.float16,
    Precision.INT8: np.int8,
}
LARGEST_INT8 = 127
ROWS_AT_ONCE = 65_536


class ItemVectors(Protocol):
    """The unit vectors of the catalogue; float32 whenever rows are taken out. ``vectors[:]`` is all of them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(I, D)."""
        ...

    def __len__(self) -> int:
        """Number of items, I."""
        ...

    def __getitem__(self, rows: IntArray | slice, /) -> FloatArray:
        """The vectors of some rows: float32 [*rows.shape, D]."""
        ...


class CompactVectors:
    """Unit vectors behind rows of fewer bytes: only the direction of a stored row counts.

    So no scale is stored, and a vector has unit length however coarsely its row was rounded.

    Args:
        stored_ID: float16 or int8 [I, D], as ``compact`` gives them.

    Attributes:
        length_I: of the stored rows; a row without a finite length above 0 has no direction.
    """

    def __init__(self, stored_ID: npt.NDArray[np.float16] | npt.NDArray[np.int8]) -> None:
        self._stored_ID = stored_ID
        self.length_I = _lengths(stored_ID)
        with np.errstate(divide="ignore"):
            self._scale_I1 = 1.0 / self.length_I[:, None]

    @property
    def shape(self) -> tuple[int, ...]:
        """(I, D)."""
        return self._stored_ID.shape

    def __len__(self) -> int:
        """Number of items, I."""
        return len(self._stored_ID)

    def __getitem__(self, rows: IntArray | slice, /) -> FloatArray:
        """The vectors of some rows: a new float32 array [*rows.shape, D]."""
        vectors_ND: FloatArray = self._stored_ID[rows].astype(np.float32)
        vectors_ND *= self._scale_I1[rows]
        return vectors_ND


def compact(vectors_ID: FloatArray, precision: Precision) -> npt.NDArray[np.float16] | npt.NDArray[np.int8]:
    """Unit vectors at a precision below fp32: rounded to half precision, or to 1/127 of the largest number of each.

    Args:
        vectors_ID: float32, unit length.
        precision: fp16 or int8.
    """
    if precision is Precision.FP16:
        return vectors_ID.astype(np.float16)
    largest_I1 = np.abs(vectors_ID).max(axis=1, keepdims=True)
    rounded_ID: npt.NDArray[np.int8] = np.rint(vectors_ID * (LARGEST_INT8 / largest_I1)).astype(np.int8)
    return rounded_ID


def _lengths(stored_ID: npt.NDArray[np.float16] | npt.NDArray[np.int8]) -> FloatArray:
    """The length of each row, a block at a time, so that memory-mapped rows are never widened as a whole."""
    length_I = np.empty(len(stored_ID), np.float32)
    for start in range(0, len(stored_ID), ROWS_AT_ONCE):
        block_ND = stored_ID[start : start + ROWS_AT_ONCE].astype(np.float32)
        length_I[start : start + ROWS_AT_ONCE] = np.linalg.norm(block_ND, axis=1)
    return length_I
