"""In which lines of a CSV file its rows begin, where quoted values hold line breaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.types import IntArray
from unbraid_training.data.columns import is_text

__all__ = ["row_lines"]

# Ends every line of a file, whether or not a carriage return stands before it.
BREAK = "\n"


def row_lines(table: pa.Table, malformed: Sequence[tuple[int, str]]) -> tuple[IntArray, list[int]]:
    """The lines of the N well-formed rows, int64 [N], and those of the malformed ones; the header begins in line 1.

    Args:
        table: the well-formed rows.
        malformed: number, counted from 1 for the header, and text of the other rows.
    """
    number_M = np.array([number for number, _ in malformed], np.int64)
    row_count = 1 + len(table) + len(malformed)
    number_N = np.setdiff1d(np.arange(2, row_count + 1), number_M, assume_unique=True)
    break_count_R = np.zeros(row_count, np.int64)
    break_count_R[0] = sum(name.count(BREAK) for name in table.column_names)
    break_count_R[number_M - 1] = [text.count(BREAK) for _, text in malformed]
    for column in table.columns:
        if is_text(column.type):
            break_count_R[number_N - 1] += pc.fill_null(pc.count_substring(column, BREAK), 0).to_numpy()
    line_R = np.arange(1, row_count + 1) + np.cumsum(break_count_R) - break_count_R
    return line_R[number_N - 1], line_R[number_M - 1].tolist()
