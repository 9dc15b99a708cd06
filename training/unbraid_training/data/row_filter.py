"""Decides row by row what a reader keeps, and counts the rest by reason."""

from __future__ import annotations

import numpy as np

from unbraid_core.errors import InvalidInput
from unbraid_core.types import BoolArray, IntArray
from unbraid_training.data.columns import Column
from unbraid_training.data.report import FileReport, Finding, Reason
from unbraid_training.data.tables import RawTable

__all__ = ["RowFilter"]

EMPTY_ROW = Reason("empty row", "remove it")
WRONG_COLUMN_COUNT = Reason("wrong number of columns", "quote values that hold a separator, and close every quote")


class RowFilter:
    """The N rows of a table, fewer with every rejection. A row counts only for the first reason that rejects it."""

    def __init__(self, table: RawTable) -> None:
        self._path = table.path
        self._line_N = table.line_N
        self._keep_N: BoolArray = np.ones(len(table), np.bool_)
        self._read_count = len(table) + len(table.malformed)
        self._findings: list[Finding] = []
        if table.malformed:
            line, text = table.malformed[0]
            self._findings.append(Finding(WRONG_COLUMN_COUNT, len(table.malformed), line, text, dropped=True))
        self.reject(table.empty_N, EMPTY_ROW)

    def reject(self, bad_N: BoolArray, reason: Reason, values_N: Column | None = None) -> None:
        """Leave rows out, and show the first one's value in the report."""
        self._report(bad_N & self._keep_N, reason, values_N, dropped=True)
        self._keep_N = self._keep_N & ~bad_N

    def note(self, odd_N: BoolArray, reason: Reason, values_N: Column | None = None) -> None:
        """Report rows, but keep them."""
        self._report(odd_N & self._keep_N, reason, values_N, dropped=False)

    def kept(self) -> IntArray:
        """Positions of the rows that are left, ascending.

        Raises:
            InvalidInput: no row is left; the message gives the reasons and the fix for the most frequent one.
        """
        if not self._keep_N.any():
            raise InvalidInput(str(self._path), self._nothing_left())
        return np.flatnonzero(self._keep_N)

    def report(self) -> FileReport:
        """What happened so far."""
        return FileReport(self._path.name, self._read_count, int(self._keep_N.sum()), tuple(self._findings))

    def _report(self, found_N: BoolArray, reason: Reason, values_N: Column | None, *, dropped: bool) -> None:
        if not found_N.any():
            return
        first = int(found_N.argmax())
        value = None if values_N is None else values_N[first].as_py()
        example = "" if value is None else str(value)
        self._findings.append(Finding(reason, int(found_N.sum()), int(self._line_N[first]), example, dropped))

    def _nothing_left(self) -> str:
        losses = [finding for finding in self._findings if finding.dropped]
        if not losses:
            return "the file has no rows below its header; export it again with its rows"
        causes = ", ".join(f"{loss.count:,} {loss.reason.text} (first in {loss.place()})" for loss in losses)
        main = max(losses, key=lambda loss: loss.count)
        return f"none of the {self._read_count:,} rows can be used: {causes}; {main.reason.fix}"
