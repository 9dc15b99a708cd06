"""Arrays by row in two parts, so that adding rows does not copy those of a release."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from unbraid_core.types import IntArray

__all__ = ["RowSource", "StackedRows"]

T = TypeVar("T", bound=np.generic)


class RowSource(Protocol):
    """What gives rows out, however it keeps them: a NumPy array, or item vectors of a coarser kind."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The first axis is that of the rows."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, rows: IntArray | slice, /) -> npt.NDArray[Any]:
        """Some of the rows."""
        ...


class StackedRows(Generic[T]):
    """The rows of a base that never changes, and behind them added ones.

    Args:
        base: usually memory-mapped.
        added: of the type and shape of the rows of the base.
    """

    def __init__(self, base: RowSource, added: npt.NDArray[T]) -> None:
        self._base = base
        self.added = added

    @property
    def shape(self) -> tuple[int, ...]:
        """As of one array with all rows."""
        return len(self), *self.added.shape[1:]

    def __len__(self) -> int:
        """Number of rows of both."""
        return len(self._base) + len(self.added)

    def __getitem__(self, rows: IntArray | slice, /) -> npt.NDArray[T]:
        """A new array with some of the rows: [*rows.shape, ...]."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        behind = rows - len(self._base)
        is_added = behind >= 0
        values = np.empty((*rows.shape, *self.added.shape[1:]), self.added.dtype)
        values[is_added] = self.added[behind[is_added]]
        values[~is_added] = self._base[rows[~is_added]]
        return values

    def extended(self, added: npt.NDArray[T]) -> StackedRows[T]:
        """These rows and further ones behind them."""
        return StackedRows(self._base, np.concatenate([self.added, added]))
