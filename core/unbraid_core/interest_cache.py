"""A cache of what an encoder makes of histories.

Interests depend on the history alone: time enters only through their mass, which is computed for every query. So what
is kept is exact until the history has a new event, and then the history is another one. It is known by a digest of all
that the encoder sees of it: rows, ages relative to the newest event in the precision of the encoder, and actions.

A row must stand for the same vector as long as a cache lives. So every release has a cache of its own, and one that
gives its rows other numbers goes on with a fresh one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

import numpy as np

from unbraid_core.types import FloatArray, History

__all__ = ["CacheStatistics", "EncodedHistory", "InterestCache"]

DIGEST_BYTES = 16
# Of an entry beside its numbers: the heads of two arrays, the digest, and the place in the table.
ENTRY_BYTES = 450


class EncodedHistory(NamedTuple):
    """What an encoder makes of one history of L events: unit vectors, and the shares of each event."""

    vectors_KD: FloatArray
    assignment_KL: FloatArray


Encode = Callable[[Sequence[History]], Sequence[EncodedHistory]]


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache has done so far, and what it holds now.

    Attributes:
        hit_count: histories that it knew, those of its predecessors counted as well.
        miss_count: histories that had to be encoded, counted likewise.
        entry_count: histories that it knows.
        size_bytes: how much memory they take.
        capacity_bytes: how much they may take.
    """

    hit_count: int
    miss_count: int
    entry_count: int
    size_bytes: int
    capacity_bytes: int


@dataclass(slots=True)
class _Counts:
    hit: int = 0
    miss: int = 0


class InterestCache:
    """The histories that were encoded last, as many as there is room for. Safe to call from several threads at once.

    Args:
        capacity_bytes: for all entries; an entry that is larger is not kept.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._entries: OrderedDict[bytes, EncodedHistory] = OrderedDict()
        self._size_bytes = 0
        self._lock = Lock()
        self._counts = _Counts()

    def successor(self) -> InterestCache:
        """An empty cache of the same capacity that goes on counting, for another encoder or other rows."""
        successor = InterestCache(self._capacity_bytes)
        successor._lock, successor._counts = self._lock, self._counts
        return successor

    def encoded(self, histories: Sequence[History], encode: Encode) -> list[EncodedHistory]:
        """What the encoder makes of each history.

        Args:
            histories: as long as the encoder sees them; each with at least one event.
            encode: asked for those that are not known, if there are any. The answers must not be written to.
        """
        digests = [_digest(history) for history in histories]
        with self._lock:
            known = [self._find(digest) for digest in digests]
        unknown = [b for b, found in enumerate(known) if found is None]
        if unknown:
            fresh = [_on_its_own(encoded) for encoded in encode([histories[b] for b in unknown])]
            with self._lock:
                for b, encoded in zip(unknown, fresh, strict=True):
                    known[b] = encoded
                    self._keep(digests[b], encoded)
        return [found for found in known if found is not None]

    def statistics(self) -> CacheStatistics:
        """What it has done so far, and what it holds now."""
        with self._lock:
            return CacheStatistics(
                hit_count=self._counts.hit,
                miss_count=self._counts.miss,
                entry_count=len(self._entries),
                size_bytes=self._size_bytes,
                capacity_bytes=self._capacity_bytes,
            )

    def _find(self, digest: bytes) -> EncodedHistory | None:
        found = self._entries.get(digest)
        if found is None:
            self._counts.miss += 1
        else:
            self._counts.hit += 1
            self._entries.move_to_end(digest)
        return found

    def _keep(self, digest: bytes, encoded: EncodedHistory) -> None:
        self._drop(self._entries.pop(digest, None))
        self._entries[digest] = encoded
        self._size_bytes += _size_bytes(encoded)
        while self._size_bytes > self._capacity_bytes:
            self._drop(self._entries.popitem(last=False)[1])

    def _drop(self, encoded: EncodedHistory | None) -> None:
        if encoded is not None:
            self._size_bytes -= _size_bytes(encoded)


def _digest(history: History) -> bytes:
    """Every event takes the same number of bytes, so no two histories have the same ones."""
    age_s_N = (history.time_s_N[-1] - history.time_s_N).astype(np.float32)
    seen = b"".join((history.row_N.tobytes(), age_s_N.tobytes(), history.action_N.tobytes()))
    return blake2b(seen, digest_size=DIGEST_BYTES).digest()


def _on_its_own(encoded: EncodedHistory) -> EncodedHistory:
    """Apart from the batch that it was encoded in, which would stay in memory with it."""
    return EncodedHistory(encoded.vectors_KD.copy(), encoded.assignment_KL.copy())


def _size_bytes(encoded: EncodedHistory) -> int:
    return encoded.vectors_KD.nbytes + encoded.assignment_KL.nbytes + ENTRY_BYTES
