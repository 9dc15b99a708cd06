"""What was found in one file so far, however many batches it is read in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unbraid_core.counted import counted
from unbraid_core.errors import InvalidInput
from unbraid_training.data.report import FileReport, Finding, Reason

__all__ = ["Ledger"]


class Ledger:
    """Counts the rows of a file, and those that are reported, by reason in the order of the checks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_count = 0
        self._dropped_count = 0
        self._finding_of: dict[Reason, Finding] = {}

    def count(self, row_count: int) -> None:
        """Rows were read."""
        self._read_count += row_count

    def add(self, finding: Finding) -> None:
        """Rows were looked at for a reason; where none was found this keeps the place of the reason in the report."""
        earlier = self._finding_of.get(finding.reason)
        if earlier is not None and earlier.count > 0:
            self._finding_of[finding.reason] = replace(earlier, count=earlier.count + finding.count)
        else:
            self._finding_of[finding.reason] = finding
        if finding.dropped:
            self._dropped_count += finding.count

    def report(self) -> FileReport:
        """What happened so far."""
        found = tuple(finding for finding in self._finding_of.values() if finding.count > 0)
        return FileReport(self._path.name, self._read_count, self._read_count - self._dropped_count, found)

    def require_rows(self) -> None:
        """Make sure that there is something left.

        Raises:
            InvalidInput: no row is left; the message gives the reasons and the fix for the most frequent one.
        """
        if self._read_count == self._dropped_count:
            raise InvalidInput(str(self._path), self._nothing_left())

    def _nothing_left(self) -> str:
        losses = [finding for finding in self.report().findings if finding.dropped]
        if not losses:
            return "the file has no rows below its header; export it again with its rows"
        causes = ", ".join(f"{loss.count:,} {loss.reason.text} (first in {loss.place()})" for loss in losses)
        main = max(losses, key=lambda loss: loss.count)
        return f"none of {counted(self._read_count, 'row')} can be used: {causes}; {main.reason.fix}"
