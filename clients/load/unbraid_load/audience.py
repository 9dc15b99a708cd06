"""Whose turn it is: regulars who come again and again, and passers-by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from random import Random

from unbraid_load.zipf import Zipf

__all__ = ["turns"]

REGULAR_SHARE = 0.1
REGULAR_SKEW = 1.0
DRAWN_AT_ONCE = 1_024


def turns(subject_count: int, repeat_share: float, share_before: float, rng: Random) -> Iterator[int]:
    """Positions of subjects, without end.

    The first tenth of the subjects are regulars, drawn by Zipf's law with exponent 1. The others pass by one after the
    other, and start again when all have.

    Args:
        subject_count: how many there are, at least one.
        repeat_share: how many of the calls are about regulars.
        share_before: how many of the passers-by are left to others at first, so that processes do not all start with
            the same one.
        rng: draws.
    """
    regular_count = max(1, round(REGULAR_SHARE * subject_count))
    regulars = Zipf(regular_count, REGULAR_SKEW)
    passers_by = range(regular_count if regular_count < subject_count else 0, subject_count)
    start = round(share_before * len(passers_by))
    passing = cycle([*passers_by[start:], *passers_by[:start]])
    while True:
        for regular in regulars.draw(rng, DRAWN_AT_ONCE):
            yield regular if rng.random() < repeat_share else next(passing)
