"""How long to wait before something that has ended is started again."""

from __future__ import annotations

__all__ = ["Backoff"]

STEADY_S = 10.0
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0


class Backoff:
    """None after a life of ten seconds, nor after the first shorter one; then half a second, doubled each time."""

    def __init__(self) -> None:
        self._early_ends = 0

    def delay_s(self, lived_s: float) -> float:
        """Seconds to wait after a life of so many."""
        if lived_s >= STEADY_S:
            self._early_ends = 0
            return 0.0
        self._early_ends += 1
        doublings = self._early_ends - 2
        # One early end may be an accident.
        return 0.0 if doublings < 0 else min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**doublings)
