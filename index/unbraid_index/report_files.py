"""The files of the index report in a release: the report itself, and a plot of its trials."""

from __future__ import annotations

from pathlib import Path

from unbraid_core.release.layout import REPORTS
from unbraid_index.plot import trials_svg
from unbraid_index.report import IndexReport

__all__ = ["INDEX_PLOT", "INDEX_REPORT", "write_report"]

INDEX_REPORT = f"{REPORTS}/index.json"
INDEX_PLOT = f"{REPORTS}/index.svg"


def write_report(report: IndexReport, folder: Path) -> None:
    """Write both files below a folder, in place of what is there."""
    (folder / REPORTS).mkdir(exist_ok=True)
    (folder / INDEX_REPORT).write_text(report.model_dump_json(indent=2) + "\n")
    (folder / INDEX_PLOT).write_text(trials_svg(report))
