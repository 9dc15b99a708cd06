"""What a reader found: how many rows it read, how many it kept, and why the others had to go."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FileReport", "Finding", "ReadReport", "Reason"]

EXAMPLE_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows are reported.

    Attributes:
        text: what is wrong with them.
        fix: what the owner of the file can do about it.
    """

    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """All rows of a file that are reported for one reason.

    Attributes:
        reason: why.
        count: how many rows.
        line: where the first one begins. The header of a CSV file is line 1, and so is the first row of a Parquet file.
        example: the offending value of the first one, empty where the value is missing.
        dropped: whether the rows were left out; False for rows that were kept in spite of it.
    """

    reason: Reason
    count: int
    line: int
    example: str
    dropped: bool

    def place(self) -> str:
        """Where the first row is, with its value."""
        value = self.example if len(self.example) <= EXAMPLE_WIDTH else f"{self.example[: EXAMPLE_WIDTH - 3]}..."
        return f"line {self.line}: {value!r}" if value else f"line {self.line}"


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was found in one file; findings are in the order of the checks."""

    name: str
    read_count: int
    kept_count: int
    findings: tuple[Finding, ...]

    def count(self, reason: Reason) -> int:
        """How many rows were reported for a reason."""
        return sum(finding.count for finding in self.findings if finding.reason == reason)


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What was found in all files of a data set."""

    files: tuple[FileReport, ...]

    def count(self, reason: Reason) -> int:
        """How many rows of all files were reported for a reason."""
        return sum(file.count(reason) for file in self.files)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Cells of a table: file, what, how many rows, where the first one is."""
        cells = []
        for file in self.files:
            cells.append((file.name, "rows read", f"{file.read_count:,}", ""))
            for finding in file.findings:
                outcome = "left out" if finding.dropped else "kept"
                what = f"{outcome}: {finding.reason.text}"
                cells.append((file.name, what, f"{finding.count:,}", finding.place()))
            cells.append((file.name, "rows kept", f"{file.kept_count:,}", ""))
        return cells

    def lines(self) -> list[str]:
        """The report as lines of plain text."""
        return [
            f"{file}: {what}: {count}{f', first in {place}' if place else ''}"
            for file, what, count, place in self.rows()
        ]
