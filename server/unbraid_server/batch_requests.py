"""Limits of what is asked in one call or waits in one stream, beside those of every question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import InvalidInput
from unbraid_server.requests import DEFAULT_LIMIT, MAX_HISTORY_EVENTS, MAX_LIMIT, MAX_LISTED_ITEMS

__all__ = ["MAX_ENTRIES", "MAX_QUESTIONS", "check_batch", "check_question_id", "entry_count"]

MAX_QUESTIONS = 256
# As in the largest single question.
MAX_ENTRIES = MAX_HISTORY_EVENTS + 2 * MAX_LISTED_ITEMS
MAX_FILTER_VALUES = 32_000
MAX_ITEMS = 20_000
MAX_QUESTION_ID_BYTES = 256


def check_batch(requests: Sequence[pb.RecommendRequest]) -> None:
    """Whether questions may come in one call; what is wrong with one of them is not looked at.

    Raises:
        InvalidInput: there are too many, or they are too large together.
    """
    if not requests:
        raise InvalidInput("requests", "is empty; send at least one question")
    if len(requests) > MAX_QUESTIONS:
        raise InvalidInput("requests", f"{len(requests)} questions; send at most {MAX_QUESTIONS} in a call")
    _check_sum("events and listed item ids", map(entry_count, requests), MAX_ENTRIES)
    _check_sum("values in filters", map(_filter_value_count, requests), MAX_FILTER_VALUES)
    limits = (min(max(request.limit, 0) or DEFAULT_LIMIT, MAX_LIMIT) for request in requests)
    _check_sum("items asked for", limits, MAX_ITEMS)


def check_question_id(question_id: str) -> None:
    """Whether a question of a stream may be named so.

    Raises:
        InvalidInput: it is too long.
    """
    if len(question_id.encode()) > MAX_QUESTION_ID_BYTES:
        raise InvalidInput("question_id", f"is longer than {MAX_QUESTION_ID_BYTES} bytes; use a shorter one")


def entry_count(request: pb.RecommendRequest) -> int:
    """Events and item ids in a question: what its size depends on."""
    listed = request.filter.allowed_item_ids
    return len(request.history.events) + len(request.excluded_item_ids) + len(listed)


def _filter_value_count(request: pb.RecommendRequest) -> int:
    return sum(
        len(condition.any_of.values) + len(condition.all_of.values) + len(condition.none_of.values)
        for condition in request.filter.conditions
    )


def _check_sum(what: str, counts: Iterable[int], most: int) -> None:
    total = sum(counts)
    if total > most:
        raise InvalidInput("requests", f"{total} {what} in all; send at most {most} in a call")
