"""Decides row by row what a reader keeps, and counts the rest by reason."""

from __future__ import annotations

import numpy as np

from unbraid_core.types import BoolArray, IntArray
from unbraid_training.data.columns import Column
from unbraid_training.data.ledger import Ledger
from unbraid_training.data.report import FileReport, Finding, Reason
from unbraid_training.data.tables import RawTable

__all__ = ["RowFilter"]

EMPTY_ROW = Reason("empty row", "remove it")
WRONG_COLUMN_COUNT = Reason("wrong number of columns", "quote values that hold a separator, and close every quote")


class RowFilter:
    """The N rows of a table, fewer with every rejection. A row counts only for the first reason that rejects it.

    Args:
        table: a file, or a batch of it.
        ledger: of the file; without one the table is all of it.
    """

    def __init__(self, table: RawTable, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger(table.path)
        self.line_N = table.line_N
        self._keep_N: BoolArray = np.ones(len(table), np.bool_)
        self.ledger.count(len(table) + len(table.malformed))
        line, text = table.malformed[0] if table.malformed else (0, "")
        self.ledger.add(Finding(WRONG_COLUMN_COUNT, len(table.malformed), line, text, dropped=True))
        self.reject(table.empty_N, EMPTY_ROW)

    def reject(self, bad_N: BoolArray, reason: Reason, values_N: Column | None = None) -> None:
        """Leave rows out, and show the first one's value in the report."""
        self._report(bad_N & self._keep_N, reason, values_N, dropped=True)
        self._keep_N = self._keep_N & ~bad_N

    def note(self, odd_N: BoolArray, reason: Reason, values_N: Column | None = None) -> None:
        """Report rows, but keep them."""
        self._report(odd_N & self._keep_N, reason, values_N, dropped=False)

    def kept(self) -> IntArray:
        """Positions of the rows that are left, ascending; there may be none."""
        return np.flatnonzero(self._keep_N)

    def report(self) -> FileReport:
        """What happened so far in the whole file."""
        return self.ledger.report()

    def _report(self, found_N: BoolArray, reason: Reason, values_N: Column | None, *, dropped: bool) -> None:
        count, line, example = int(found_N.sum()), 0, ""
        if count > 0:
            first = int(found_N.argmax())
            value = None if values_N is None else values_N[first].as_py()
            line, example = int(self.line_N[first]), "" if value is None else str(value)
        self.ledger.add(Finding(reason, count, line, example, dropped))
