"""The questions that all servers are measured with: made from a seed, so every process makes the same ones."""

from __future__ import annotations

import numpy as np
from benchmarks.synthetic_release import item_id
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb

__all__ = ["NOW_S", "recommend_requests"]

NOW_S = 1_800_000_000
HISTORY, LIMIT = 50, 50
LONGEST_AGO_S = 60 * 86_400
ACTIONS = ("view", "buy")


def recommend_requests(item_count: int, user_count: int) -> list[pb.RecommendRequest]:
    """One question for each of some users with 50 events of the last 60 days, for 50 items."""
    rng = np.random.default_rng(7)
    row_UL = rng.integers(0, item_count, (user_count, HISTORY)).tolist()
    time_s_UL = np.sort(NOW_S - rng.integers(0, LONGEST_AGO_S, (user_count, HISTORY))).tolist()
    action_UL = rng.integers(0, len(ACTIONS), (user_count, HISTORY)).tolist()
    return [_request(*history) for history in zip(row_UL, time_s_UL, action_UL, strict=True)]


def _request(rows: list[int], times_s: list[int], actions: list[int]) -> pb.RecommendRequest:
    events = [
        pb.Event(item_id=item_id(row), event_time=Timestamp(seconds=time_s), action=ACTIONS[action])
        for row, time_s, action in zip(rows, times_s, actions, strict=True)
    ]
    return pb.RecommendRequest(history=pb.History(events=events), limit=LIMIT, as_of_time=Timestamp(seconds=NOW_S))
