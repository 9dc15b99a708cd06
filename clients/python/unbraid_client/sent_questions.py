"""The questions of one stream on their way: which ones have no answer yet."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client.arguments import checked
from unbraid_client.questions import Answer, Question
from unbraid_client.requests import recommend_request
from unbraid_client.results import answer

__all__ = ["SentQuestions"]


class SentQuestions:
    """Gives every question an id, and finds it again by the id of its answer.

    gRPC takes the messages in a thread or task of its own, and says nothing about an error there but that the call
    failed.

    Attributes:
        failure: what the source of the questions raised, or what is wrong with one of them; no further ones are sent.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._unanswered: dict[str, Question] = {}
        self._count = 0

    def messages(self, questions: Iterable[Question]) -> Iterator[pb.StreamRecommendRequest]:
        """What is sent."""
        try:
            for question in questions:
                yield self._message(question)
        except Exception as error:  # noqa: BLE001 - it is raised again where the answers are read
            self.failure = error

    async def awaited_messages(self, questions: AsyncIterable[Question]) -> AsyncIterator[pb.StreamRecommendRequest]:
        """What is sent."""
        try:
            async for question in questions:
                yield self._message(question)
        except Exception as error:  # noqa: BLE001 - as above
            self.failure = error

    def answers(self, response: pb.StreamRecommendResponse) -> Iterator[Answer]:
        """What comes back."""
        for outcome in response.outcomes:
            yield answer(self._unanswered.pop(outcome.question_id), outcome)

    def _message(self, question: Question) -> pb.StreamRecommendRequest:
        place = f"questions[{self._count}]"
        request = recommend_request(checked(question, Question, place, "a Question"), f"{place}.")
        message = pb.StreamRecommendRequest(question_id=str(self._count), request=request)
        self._unanswered[message.question_id] = question
        self._count += 1
        return message
