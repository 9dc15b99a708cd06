"""Rows of CSV files stand in the lines that an editor shows, whatever line breaks their values hold."""

from __future__ import annotations

import tempfile
from itertools import accumulate
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_training.data.items import DUPLICATE_ITEM, read_items
from unbraid_training.data.tables import read_table

VALUES = st.text("ab\n", max_size=4)
ROWS = st.lists(st.lists(VALUES, min_size=1, max_size=3), max_size=8)


@settings(max_examples=100, deadline=None)
@given(name=VALUES, rows=ROWS, end=st.sampled_from(["\n", "\r\n"]))
def test_rows_stand_where_they_begin(name: str, rows: list[list[str]], end: str) -> None:
    """Some rows have a column too few or too many."""
    quoted = [",".join(f'"{value}"' for value in row) + end for row in [["id", f"of {name}"], *rows]]
    begin = [1, *(1 + lines for lines in accumulate(text.count("\n") for text in quoted))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        path.write_bytes("".join(quoted).encode())
        table = read_table(path, ("id", f"of {name}"))
    assert table.line_N.tolist() == [begin[at] for at, row in enumerate(rows, 1) if len(row) == 2]
    assert [line for line, _ in table.malformed] == [begin[at] for at, row in enumerate(rows, 1) if len(row) != 2]


def test_a_finding_behind_a_long_description_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title,description\na,One,"first\nsecond\n\nfourth"\nb,Two,short\na,Again,\n')
    [finding] = read_items(path)[1].findings
    assert (finding.reason, finding.line) == (DUPLICATE_ITEM, 7)
