"""What answers say about items, in wire format and kept: looking it up and writing it would cost most of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Self

import numpy as np

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.live.live_catalogue import LiveCatalogue
from unbraid_core.types import IntArray

__all__ = ["ShownItems"]

MOST_KEPT_BYTES = 64 * 2**20
"""Of each kind of message; an entry takes about as much again."""

NOTHING = b""


class _Kept:
    """Messages by row, all forgotten when they are too many.

    In a list: each look into a dictionary is one into its table, one at the key, and only then one at the message, and
    none of them is likely to be in the caches of the processor.

    Attributes:
        written: of each row; nothing where none is kept.
    """

    def __init__(self, row_count: int) -> None:
        self.written = [NOTHING] * row_count
        self._size = 0
        self._lock = Lock()

    def keep(self, written: Mapping[int, bytes]) -> None:
        with self._lock:
            self._size += sum(map(len, written.values()))
            if self._size > MOST_KEPT_BYTES:
                self._size = 0
                self.written = [NOTHING] * len(self.written)
            for row, message in written.items():
                self.written[row] = message


@dataclass(frozen=True, slots=True, eq=False)
class ShownItems:
    """The items of a catalogue in messages that show them. Safe to call from several threads at once.

    Attributes:
        catalogue: whose items.
    """

    catalogue: LiveCatalogue
    _recommended: _Kept
    _evidence: _Kept

    @classmethod
    def of(cls, catalogue: LiveCatalogue, released_count: int) -> Self:
        """Nothing is kept yet; rows from ``released_count`` on never are, because they may become other items."""
        return cls(catalogue, _Kept(released_count), _Kept(released_count))

    def followed_by(self, catalogue: LiveCatalogue) -> Self:
        """Those of a later catalogue of the same release; what was kept of the released rows goes on being used."""
        return replace(self, catalogue=catalogue)

    def recommended(self, row_R: IntArray) -> list[bytes]:
        """Id, title and categories of a Recommendation, for each row."""
        return _written(row_R, self._recommended, self._write_recommended)

    def evidence(self, row_N: IntArray) -> list[bytes]:
        """Id and title of an Evidence, for each row."""
        return _written(row_N, self._evidence, self._write_evidence)

    def _write_recommended(self, row_N: IntArray) -> list[bytes]:
        catalogue = self.catalogue
        return [
            pb.Recommendation(item_id=item_id, title=title, categories=categories).SerializeToString()
            for item_id, title, categories in zip(
                catalogue.ids(row_N), catalogue.titles(row_N), catalogue.category_lists(row_N), strict=True
            )
        ]

    def _write_evidence(self, row_N: IntArray) -> list[bytes]:
        return [
            pb.Evidence(item_id=item_id, title=title).SerializeToString()
            for item_id, title in zip(self.catalogue.ids(row_N), self.catalogue.titles(row_N), strict=True)
        ]


def _written(row_N: IntArray, kept: _Kept, write: Callable[[IntArray], list[bytes]]) -> list[bytes]:
    rows = row_N.tolist()
    # Whoever forgets what is kept does so with a new list, and not with this one.
    known = kept.written
    kept_count = len(known)
    found = [known[row] if row < kept_count else NOTHING for row in rows]
    if all(found):
        return found
    missing = list(dict.fromkeys(row for row, message in zip(rows, found, strict=True) if not message))
    added = dict(zip(missing, write(np.array(missing)), strict=True))
    kept.keep({row: message for row, message in added.items() if row < kept_count})
    return [message or added[row] for row, message in zip(rows, found, strict=True)]
