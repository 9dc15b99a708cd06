"""Matrices in .npy files: memory-mapped, and of the type and shape that they must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unbraid_core.errors import IncompatibleError, IntegrityError

__all__ = ["check_finite", "read_matrix"]


def read_matrix(
    path: Path,
    kind: type[np.float32 | np.float16 | np.int32 | np.int8],
    width: int | None = None,
    length: int | None = None,
) -> npt.NDArray[Any]:
    """Memory-map a matrix.

    Args:
        path: a .npy file below an export or a release.
        kind: of its values.
        width: number of columns; None takes any above 0.
        length: number of rows; None takes any.

    Raises:
        IncompatibleError: of another type or shape.
        IntegrityError: not a NumPy file.
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        # Unlike np.load this reads .npy files and nothing else: no archives, and no pickles, whatever the defaults are.
        matrix = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise IntegrityError(f"{where}: not a NumPy array: {error}") from None
    if matrix.dtype != kind or not _has_shape(matrix.shape, length, width):
        expected = f"{np.dtype(kind)} [{_size(length)}, {_size(width)}]"
        raise IncompatibleError(f"{where}: expected {expected}, found {matrix.dtype} {list(matrix.shape)}")
    # A plain array over the same mapping: indexing the memmap class itself takes 2 to 8 times as long.
    return np.asarray(matrix)


def check_finite(path: Path, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The matrix of a file, if all of its values are numbers.

    Raises:
        IntegrityError: one is not.
    """
    if not np.isfinite(matrix).all():
        raise IntegrityError(f"{path.parent.name}/{path.name}: a value is not finite")
    return matrix


def _has_shape(shape: tuple[int, ...], length: int | None, width: int | None) -> bool:
    return len(shape) == 2 and length in (None, shape[0]) and width in (None, shape[1]) and shape[1] > 0


def _size(size: int | None) -> str:
    return "*" if size is None else str(size)
