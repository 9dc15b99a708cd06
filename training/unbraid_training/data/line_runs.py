"""Where in a file the kept rows stand, remembered as runs of neighbouring lines."""

from __future__ import annotations

import numpy as np

from unbraid_core.types import IntArray

__all__ = ["LineRuns"]


class LineRuns:
    """Lines of a growing sequence of rows; takes memory for every gap between them, not for every row."""

    def __init__(self) -> None:
        self._row_count = 0
        self._runs: list[tuple[IntArray, IntArray]] = []

    def add(self, line_E: IntArray) -> None:
        """The next rows stand in these lines, in ascending order."""
        start_R = np.flatnonzero(np.diff(line_E, prepend=-1) != 1)
        self._runs.append((self._row_count + start_R, line_E[start_R]))
        self._row_count += len(line_E)

    def line(self, position: int) -> int:
        """The line of the row at a position."""
        start_R, line_R = (np.concatenate(parts) for parts in zip(*self._runs, strict=True))
        run = int(np.searchsorted(start_R, position, side="right")) - 1
        return int(line_R[run] + position - start_R[run])
