"""Tables of reports as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown_table"]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of plain text, the first of which is the head; a bar within a cell is escaped."""
    escaped = [[cell.replace("|", r"\|") for cell in cells] for cells in rows]
    head, *body = [f"| {' | '.join(cells)} |" for cells in escaped]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body]) + "\n"
