"""From an encoder to a searcher on the same device: interests that need not go there again."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from unbraid_core.types import FloatArray

__all__ = ["Handover"]


class Handover:
    """The interests of the newest batch, where the encoder left them. Safe to use from several threads at once.

    The pipeline between encoder and searcher works with arrays of the host, and may take interests from a cache, search
    for some of them apart, or have the batch of another thread between the two. So a searcher shows what it was asked
    for, and gets the copy on the device if it holds the same numbers. Comparing 32 KB takes two microseconds.
    """

    def __init__(self) -> None:
        self._newest: tuple[FloatArray, ort.OrtValue] | None = None

    def leave(self, vectors_QD: FloatArray, value: ort.OrtValue) -> None:
        """Take the place of what was left before.

        Args:
            vectors_QD: of a batch; nobody may write to them any more.
            value: a buffer on the device that begins with the same numbers, and keeps them as long as it is held.
        """
        assert not vectors_QD.flags.writeable
        self._newest = vectors_QD, value

    def find(self, query_QD: FloatArray) -> ort.OrtValue | None:
        """A buffer on the device that begins with these numbers; None where they are not those of the newest batch."""
        newest = self._newest
        if newest is None or not np.array_equal(newest[0], query_QD):
            return None
        return newest[1]
