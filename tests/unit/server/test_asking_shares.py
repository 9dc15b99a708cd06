"""Who asks more than others."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from unbraid_server.asking_shares import AskingShares


@given(st.lists(st.integers(0, 4)), st.integers(1, 6))
def test_who_has_more_than_an_even_share_of_the_newest_questions_asks_much(callers: list[int], window: int) -> None:
    shares = AskingShares(window)
    for number, caller in enumerate(callers, start=1):
        newest = Counter(callers[max(0, number - window) : number])
        assert shares.asks_much(caller) == (newest[caller] > newest.total() / len(newest))


def test_a_caller_alone_never_asks_much() -> None:
    shares = AskingShares(3)
    assert not any(shares.asks_much("only") for _ in range(10))
