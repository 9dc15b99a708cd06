"""Ids and their codes: strings become numbers batch by batch, so that no column of strings has to exist as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from unbraid_training.data.columns import IndexArray, as_text, strings

__all__ = ["Vocabulary"]

UNKNOWN = -1


class Vocabulary:
    """Distinct ids in the order in which they came; the code of an id is its position."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._code_of = {name: code for code, name in enumerate(ids)}

    @property
    def ids(self) -> list[str]:
        """All ids, by code."""
        return list(self._code_of)

    def add(self, column: pa.StringArray) -> IndexArray:
        """The code of every value; those that are new get the next ones."""
        code_of = self._code_of
        return _by_distinct(column, lambda name: code_of.setdefault(name, len(code_of)))

    def find(self, column: pa.StringArray) -> IndexArray:
        """The code of every value, -1 where it is unknown."""
        code_of = self._code_of
        return _by_distinct(column, lambda name: code_of.get(name, UNKNOWN))


def _by_distinct(column: pa.StringArray, code: Callable[[str], int]) -> IndexArray:
    """Code every distinct value once, in the order of first appearance."""
    encoded = column.dictionary_encode()
    names = strings(as_text(encoded.dictionary))
    code_V = np.fromiter(map(code, names), np.int32, len(names))
    coded_N: IndexArray = code_V[encoded.indices.to_numpy()]
    return coded_N
