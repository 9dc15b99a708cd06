"""Outcomes of many questions as messages, in wire format: an answer is written already, and is not copied into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.protobuf.descriptor import FieldDescriptor

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import InvalidInput, UnbraidError
from unbraid_server.error_status import status_message
from unbraid_server.recommender import Outcome
from unbraid_server.responses import recommend_responses
from unbraid_server.wire import key, varint

__all__ = ["batch_recommend_response", "stream_recommend_responses"]

ENOUGH_BYTES = 2**20
"""A message of a stream gets no more outcomes when it is as large as this: clients take 4 MiB by default."""

BATCH_OUTCOMES = pb.BatchRecommendResponse.DESCRIPTOR.fields_by_name["outcomes"]
BATCH_RESPONSE = pb.RecommendOutcome.DESCRIPTOR.fields_by_name["response"]
STREAM_OUTCOMES = pb.StreamRecommendResponse.DESCRIPTOR.fields_by_name["outcomes"]
STREAM_RESPONSE = pb.StreamedOutcome.DESCRIPTOR.fields_by_name["response"]


def batch_recommend_response(release_id: str, outcomes: Sequence[Outcome]) -> bytes:
    """A BatchRecommendResponse."""
    parts = [pb.BatchRecommendResponse(release_id=release_id).SerializeToString()]
    for position, outcome in enumerate(_written(outcomes)):
        if isinstance(outcome, UnbraidError):
            status = status_message(_within(f"requests[{position}]", outcome))
            written = [pb.RecommendOutcome(error=status).SerializeToString()]
        else:
            written = _field(BATCH_RESPONSE, [outcome])
        parts += _field(BATCH_OUTCOMES, written)
    return b"".join(parts)


def stream_recommend_responses(question_ids: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[bytes]:
    """One StreamRecommendResponse, or several where one would be large."""
    parts: list[bytes] = []
    size = 0
    for question_id, outcome in zip(question_ids, _written(outcomes), strict=True):
        message = pb.StreamedOutcome(question_id=question_id)
        if isinstance(outcome, UnbraidError):
            message.error.CopyFrom(status_message(_within("request", outcome)))
            written = [message.SerializeToString()]
        else:
            written = [message.SerializeToString(), *_field(STREAM_RESPONSE, [outcome])]
        written = _field(STREAM_OUTCOMES, written)
        parts += written
        size += sum(map(len, written))
        if size >= ENOUGH_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _written(outcomes: Sequence[Outcome]) -> Iterator[bytes | UnbraidError]:
    """The response of every answer, and errors as they are."""
    answers = [outcome for outcome in outcomes if not isinstance(outcome, UnbraidError)]
    responses = iter(recommend_responses(answers) if answers else ())
    return (outcome if isinstance(outcome, UnbraidError) else next(responses) for outcome in outcomes)


def _within(path: str, error: UnbraidError) -> UnbraidError:
    return error.within(path) if isinstance(error, InvalidInput) else error


def _field(field: FieldDescriptor, content: Sequence[bytes]) -> list[bytes]:
    """A message as a field of another one, in parts."""
    return [key(field), varint(sum(map(len, content))), *content]
