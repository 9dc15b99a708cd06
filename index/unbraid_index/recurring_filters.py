"""Filters that come again and again: the rows that they allow are coded once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray
from unbraid_index.row_codes import MOST_CODED_ROWS, RowCodes

__all__ = ["CODED_AT", "RecurringFilters"]

CODED_AT = 4
"""Making codes takes about as long as comparing with all rows this many times."""
REMEMBERED = 1_024
"""Filters whose calls are counted; the least recent are forgotten."""
BUDGET_BYTES = 32 * 2**20


class RecurringFilters:
    """The codes of recurring filters, the least recently used ones dropped. Safe to call from several threads at once.

    Args:
        item_vectors_ID: of the catalogue.
        least_rows: for filters that allow fewer, there are no codes.
        budget_bytes: what all codes may take together.
    """

    def __init__(self, item_vectors_ID: ItemVectors, least_rows: int, budget_bytes: int = BUDGET_BYTES) -> None:
        self._item_vectors_ID = item_vectors_ID
        self._least_rows = least_rows
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._calls: OrderedDict[bytes, int] = OrderedDict()
        self._codes: OrderedDict[bytes, RowCodes] = OrderedDict()

    def codes(self, allowed_I: BoolArray, allowed_count: int) -> RowCodes | None:
        """The codes of the allowed rows; None where they do not pay, or have not been asked for often enough.

        Args:
            allowed_I: which rows are allowed.
            allowed_count: how many.
        """
        if not self._least_rows <= allowed_count <= MOST_CODED_ROWS:
            return None
        key = hashlib.sha256(np.packbits(allowed_I).data).digest()
        with self._lock:
            codes = self._codes.get(key)
            if codes is not None:
                self._codes.move_to_end(key)
                return codes
            if not self._is_due(key):
                return None
        # One call makes the codes, others that come meanwhile do without.
        codes = RowCodes.of(self._item_vectors_ID, np.flatnonzero(allowed_I))
        with self._lock:
            self._keep(key, codes)
        return codes

    def _is_due(self, key: bytes) -> bool:
        self._calls[key] = self._calls.pop(key, 0) + 1
        if len(self._calls) > REMEMBERED:
            self._calls.popitem(last=False)
        return self._calls[key] == CODED_AT

    def _keep(self, key: bytes, codes: RowCodes) -> None:
        self._calls.pop(key, None)
        self._codes[key] = codes
        while len(self._codes) > 1 and sum(kept.size_bytes for kept in self._codes.values()) > self._budget_bytes:
            self._codes.popitem(last=False)
