"""Who is asked about: users of the server by their ids, or made-up histories of its items."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from unbraid_client import Event, UnbraidClient
from unbraid_load.zipf import Zipf

__all__ = ["Subject", "draw_histories", "read_item_ids"]

# A user's id, or a history.
Subject = str | list[Event]

ITEM_SKEW = 1.0
LENGTH_SPREAD = 0.7
SPAN_S = 90 * 86_400.0
PAGE_SIZE = 1_000


def read_item_ids(client: UnbraidClient, limit: int) -> list[str]:
    """Ids of the items that a server has, no more than ``limit``.

    Raises:
        ClientError: the server does not answer, or does not let this caller list its items.
    """
    item_ids: list[str] = []
    page_token = ""
    while len(item_ids) < limit:
        page = client.list_items(page_size=min(PAGE_SIZE, limit - len(item_ids)), page_token=page_token)
        item_ids += [item.item_id for item in page.items]
        page_token = page.next_page_token
        if not page_token:
            break
    return item_ids


def draw_histories(
    item_ids: Sequence[str], count: int, median_length: int, longest: int, now_s: float, seed: int
) -> list[Subject]:
    """Histories of the last 90 days.

    Items are drawn by Zipf's law with exponent 1, in an order of chance. Lengths are log-normal around the median: one
    history in six is more than twice as long.

    Args:
        item_ids: items to choose from, at least one.
        count: how many histories.
        median_length: events of a history.
        longest: no history has more events.
        now_s: epoch seconds; no event is later.
        seed: equal seeds draw equal histories.
    """
    rng = Random(seed)
    shuffled = rng.sample(item_ids, len(item_ids))
    popularity = Zipf(len(shuffled), ITEM_SKEW)
    histories: list[Subject] = []
    for _ in range(count):
        length = min(longest, max(1, round(median_length * rng.lognormvariate(0.0, LENGTH_SPREAD))))
        times_s = sorted(now_s - rng.uniform(0.0, SPAN_S) for _ in range(length))
        ranks = popularity.draw(rng, length)
        histories.append([Event(shuffled[rank], time_s) for rank, time_s in zip(ranks, times_s, strict=True)])
    return histories
