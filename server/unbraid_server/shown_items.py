"""What answers say about items, in wire format and kept: looking it up and writing it would cost most of an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Self

import numpy as np

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.live.live_catalogue import LiveCatalogue
from unbraid_core.types import IntArray

__all__ = ["ShownItems"]

MOST_KEPT_BYTES = 64 * 2**20
"""Of each kind of message; an entry takes about as much again."""


class _Kept:
    """Bytes by row, all forgotten when they are too many."""

    def __init__(self) -> None:
        self.written: dict[int, bytes] = {}
        self._size = 0
        self._lock = Lock()

    def keep(self, written: dict[int, bytes]) -> None:
        with self._lock:
            self._size += sum(map(len, written.values()))
            if self._size > MOST_KEPT_BYTES:
                self._size = 0
                self.written = {}
            self.written.update(written)


@dataclass(frozen=True, slots=True, eq=False)
class ShownItems:
    """The items of a catalogue in messages that show them. Safe to call from several threads at once.

    Attributes:
        catalogue: whose items.
        released_count: rows before this one never change, whatever the catalogue becomes.
    """

    catalogue: LiveCatalogue
    released_count: int
    _recommended: _Kept = field(default_factory=_Kept)
    _evidence: _Kept = field(default_factory=_Kept)

    def followed_by(self, catalogue: LiveCatalogue) -> Self:
        """Those of a later catalogue of the same release; what was kept of the released rows goes on being used."""
        return replace(self, catalogue=catalogue)

    def recommended(self, row_R: IntArray) -> list[bytes]:
        """Id, title and categories of a Recommendation, for each row."""
        return self._written(row_R, self._recommended, self._write_recommended)

    def evidence(self, row_N: IntArray) -> list[bytes]:
        """Id and title of an Evidence, for each row."""
        return self._written(row_N, self._evidence, self._write_evidence)

    def _written(self, row_N: IntArray, kept: _Kept, write: Callable[[IntArray], list[bytes]]) -> list[bytes]:
        rows = row_N.tolist()
        # Whoever forgets what is kept does so with a new dictionary, and not with this one.
        known = kept.written
        try:
            return list(map(known.__getitem__, rows))
        except KeyError:
            missing_N = [row for row in dict.fromkeys(rows) if row not in known]
        added = dict(zip(missing_N, write(np.array(missing_N)), strict=True))
        kept.keep({row: written for row, written in added.items() if row < self.released_count})
        return [added[row] if row in added else known[row] for row in rows]

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
