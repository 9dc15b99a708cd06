"""How releases look in a list: those of a folder, and those of a running server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from unbraid_cli.console import console, rows_table
from unbraid_cli.moments import minute

if TYPE_CHECKING:
    from unbraid_client import ReleaseSummary as ServedRelease
    from unbraid_core.release import ReleaseSummary as StoredRelease

    Summary = ServedRelease | StoredRelease

__all__ = ["megabytes", "print_as_json", "print_releases"]


def print_releases(summaries: Sequence[Summary]) -> None:
    """A row for each release."""
    rows = [("active", "release", "created (UTC)", "size", "state"), *map(_row, summaries)]
    table = rows_table(rows)
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[3].justify = "right"
    table.columns[4].overflow = "fold"
    console.print(table)


def print_as_json(summaries: Sequence[Summary]) -> None:
    """The same as a JSON array."""
    console.print_json(json.dumps([_plain(summary) for summary in summaries]))


def megabytes(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 1e6:.1f} MB"


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        "*" if summary.active else "",
        summary.release_id,
        minute(summary.created_time) if summary.created_time else "unknown",
        megabytes(summary.size_bytes),
        summary.problem or "ok",
    )


def _plain(summary: Summary) -> dict[str, object]:
    created_time = summary.created_time.isoformat() if summary.created_time else None
    return asdict(summary) | {"created_time": created_time}
