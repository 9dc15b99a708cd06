"""The text of an item: what an encoder reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unbraid_core.catalogue import Catalogue

__all__ = ["item_texts", "text_columns"]

ALWAYS = ("title", "categories")
SEPARATOR = ", "


def text_columns(catalogue: Catalogue) -> list[str]:
    """Which columns hold text: title, categories, and every attribute that is mostly of several words.

    An attribute of single words is a code, a brand or a colour. Codes mean nothing to a sentence encoder, and nothing
    tells them from the others; what should count belongs into the categories.
    """
    others = [name for name in catalogue.table.column_names if name not in ("item_id", *ALWAYS)]
    return [*ALWAYS, *(name for name in others if _is_text(catalogue.table.column(name)))]


def item_texts(catalogue: Catalogue, columns: Sequence[str]) -> list[str]:
    """One text for each item: the values of the columns, in their order. A column that is not there says nothing."""
    values = [catalogue.table.column(name).to_pylist() for name in columns if name in catalogue.table.column_names]
    return [SEPARATOR.join(filter(None, map(_as_text, row))) for row in zip(*values, strict=True)]


def _is_text(column: pa.ChunkedArray[Any]) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    word_counts = [len(value.split()) for value in column.to_pylist() if value]
    return bool(word_counts) and float(np.median(word_counts)) > 1


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return SEPARATOR.join(map(str, value))
    return "" if value is None else str(value)
