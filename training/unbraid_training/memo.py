"""Ports that remember their answers: the same users are asked again and again while a score is fitted."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from unbraid_core.ports import Encoder, Searcher
from unbraid_core.types import BoolArray, FloatArray, HistoryBatch, InterestBatch, SearchHits

__all__ = ["MemoEncoder", "MemoSearcher"]


class MemoEncoder:
    """An Encoder that encodes no batch twice; it keeps every answer."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._answers: dict[bytes, InterestBatch] = {}

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """See the Encoder port."""
        key = _digest(batch.item_vectors_BLD, batch.age_s_BL, batch.action_BL, batch.mask_BL)
        if key not in self._answers:
            self._answers[key] = self._encoder.encode(batch)
        return self._answers[key]


class MemoSearcher:
    """A Searcher that searches for no batch of queries twice; it keeps every answer."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._answers: dict[bytes, SearchHits] = {}

    @property
    def size(self) -> int:
        """See the Searcher port."""
        return self._searcher.size

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port."""
        allowed = [] if allowed_I is None else [allowed_I]
        key = _digest(query_QD, np.array(count), *allowed)
        if key not in self._answers:
            self._answers[key] = self._searcher.search(query_QD, count, allowed_I)
        return self._answers[key]


def _digest(*arrays: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
