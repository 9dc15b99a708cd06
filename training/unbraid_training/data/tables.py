"""CSV and Parquet files as tables of columns, with the line number of every row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.types import BoolArray, DoubleArray, IntArray
from unbraid_training.data.columns import Column, as_text, doubles, equals, flags, is_text
from unbraid_training.data.csv_lines import row_lines

__all__ = ["TAB_SEPARATED", "CsvFormat", "RawTable", "iter_tables", "read_table"]


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a text file separates its columns, and whether double quotes enclose values."""

    separator: str = ","
    quoted: bool = True


# Rows of a Parquet file that are in memory at once, and bytes of a column that are read ahead.
BATCH_SIZE, BUFFER_SIZE = 1 << 20, 1 << 20

TAB_SEPARATED = CsvFormat(separator="\t", quoted=False)


@dataclass(frozen=True, eq=False)
class RawTable:
    """A file's N well-formed rows.

    Attributes:
        path: the file.
        table: its columns.
        line_N: int64, where each row begins: the header of a CSV file is line 1, the first row of a Parquet file too.
        malformed: line and text of the rows of a CSV file that have another number of columns than the header.
    """

    path: Path
    table: pa.Table
    line_N: IntArray
    malformed: Sequence[tuple[int, str]] = ()

    def __len__(self) -> int:
        """Number of well-formed rows."""
        return int(self.table.num_rows)

    @property
    def empty_N(self) -> BoolArray:
        """Rows without a value in any column."""
        empty_N: BoolArray = np.ones(len(self), np.bool_)
        for name in self.table.column_names:
            column = self.column(name)
            blank_N = flags(pc.is_null(column))
            empty_N &= blank_N | equals(as_text(column), "") if is_text(column.type) else blank_N
        return empty_N

    def has(self, name: str) -> bool:
        """Whether the file has a column."""
        return name in self.table.column_names

    def column(self, name: str) -> Column:
        """A column as it was read; a dictionary-encoded one is decoded.

        Raises:
            InvalidInput: the file has no such column; the message lists those it has.
        """
        if not self.has(name):
            raise InvalidInput(str(self.path), self._missing(name))
        column = self.table.column(name).combine_chunks()
        return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column

    def text(self, name: str) -> pa.StringArray:
        """A column as strings, empty where the file has no value; whole numbers become their decimal text.

        Raises:
            InvalidInput: there is no such column, or its values are neither strings nor whole numbers.
        """
        column = self.column(name)
        if not (is_text(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
            raise InvalidInput(
                str(self.path), f"column {name!r} has type {column.type}, expected string or integer; convert it"
            )
        return as_text(column)

    def optional_text(self, name: str) -> pa.StringArray:
        """Like ``text``, but a column that the file does not have is all empty."""
        return self.text(name) if self.has(name) else pa.array([""] * len(self), pa.string())

    def numbers(self, name: str) -> DoubleArray:
        """A column of numbers, NaN where the file has no value.

        Raises:
            InvalidInput: there is no such column, or not all of its values are numbers.
        """
        column = self.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
            raise InvalidInput(str(self.path), f"column {name!r} has type {column.type}, expected numbers; correct it")
        return doubles(column)

    def _missing(self, name: str) -> str:
        found = ", ".join(repr(column) for column in self.table.column_names)
        hint = "; separate the columns with commas" if len(self.table.column_names) == 1 else ""
        return f"column {name!r} is missing, found {found}; rename or add it{hint}"


def read_table(path: Path, text_columns: Collection[str], layout: CsvFormat | None = None) -> RawTable:
    """Read a .parquet file, or else a CSV file (.gz: compressed) whose first line names its columns.

    Args:
        path: the file.
        text_columns: columns of a CSV file to be read as strings exactly as they stand; others get the type that all
            their values have.
        layout: how a CSV file is written; comma-separated by default.

    Raises:
        NotFound: there is no such file.
        InvalidInput: empty, damaged, not UTF-8, or a column name appears twice.
    """
    tables = list(iter_tables(path, text_columns, layout))
    table = pa.concat_tables([each.table for each in tables])
    return RawTable(path, table, np.concatenate([each.line_N for each in tables]), tables[0].malformed)


def iter_tables(path: Path, text_columns: Collection[str], layout: CsvFormat | None = None) -> Iterator[RawTable]:
    """Like ``read_table``, but in batches of rows where the file is Parquet; there is at least one batch."""
    if not path.exists():
        raise NotFound(f"{path}: no such file")
    if path.suffix == ".parquet":
        yield from _iter_parquet(path)
        return
    try:
        raw = _read_csv(path, text_columns, layout or CsvFormat())
        _check_names(path, raw.table.column_names)
    except UnicodeDecodeError:
        raise InvalidInput(str(path), _NOT_UTF8) from None
    yield raw


def _iter_parquet(path: Path) -> Iterator[RawTable]:
    done = 0
    try:
        with parquet.ParquetFile(path, buffer_size=BUFFER_SIZE) as file:
            schema = file.schema_arrow
            _check_names(path, schema.names)
            for batch in file.iter_batches(BATCH_SIZE):
                yield RawTable(path, pa.Table.from_batches([batch]), np.arange(done + 1, done + len(batch) + 1))
                done += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(str(path), f"not a readable Parquet file ({_first_line(error)}); write it again") from None
    if done == 0:
        yield RawTable(path, schema.empty_table(), np.arange(0))


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(str(path), f"column {twice!r} appears twice; rename or remove one of them")


def _read_csv(path: Path, text_columns: Collection[str], layout: CsvFormat) -> RawTable:
    malformed: list[tuple[int, str]] = []

    def skip(row: csv.InvalidRow) -> Literal["skip"]:
        assert row.number is not None, "rows are numbered where one thread reads them"
        malformed.append((row.number, row.text))
        return "skip"

    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(
                delimiter=layout.separator,
                quote_char='"' if layout.quoted else False,
                newlines_in_values=layout.quoted,
                # An ignored line would shift the numbers of all later ones.
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(text_columns, pa.string())),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(str(path), _csv_problem(path, error)) from None
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise InvalidInput(str(path), _NOT_UTF8)
    line_N, malformed_lines = row_lines(table, malformed)
    return RawTable(path, table, line_N, list(zip(malformed_lines, (text for _, text in malformed), strict=True)))


_NOT_UTF8 = "not UTF-8 text; save the file with UTF-8 encoding"


def _csv_problem(path: Path, error: Exception) -> str:
    message = _first_line(error)
    if "UTF8" in message:
        return _NOT_UTF8
    if "Empty CSV file" in message:
        return "the file is empty; its first line must name the columns"
    if path.suffix == ".gz" and isinstance(error, OSError):
        return f"not a readable gzip file ({message}); compress it again, or name it .csv if it is not compressed"
    return f"not a readable CSV file ({message})"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
