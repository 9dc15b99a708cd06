"""Who asks more than others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable

__all__ = ["AskingShares"]


class AskingShares:
    """What part of the newest questions is whose. Not safe for several threads.

    Args:
        window: how many questions are remembered.
    """

    def __init__(self, window: int) -> None:
        self._newest: deque[Hashable] = deque(maxlen=window)
        self._counts: Counter[Hashable] = Counter()

    def asks_much(self, caller: Hashable) -> bool:
        """Count a question, and say whether its caller has more than an even share of the newest ones."""
        if len(self._newest) == self._newest.maxlen:
            oldest = self._newest[0]
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._newest.append(caller)
        self._counts[caller] += 1
        return self._counts[caller] * len(self._counts) > len(self._newest)
