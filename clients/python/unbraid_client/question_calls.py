"""Calls of the blocking client about users and items: those of RecommendationService."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TypeVar

import grpc

from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_client.arguments import seconds, several
from unbraid_client.errors import error_of
from unbraid_client.filters import Condition
from unbraid_client.questions import Answer, BatchResult, Question, RankResult, SimilarResult
from unbraid_client.requests import batch_request, interests_request, rank_request, recommend_request, similar_request
from unbraid_client.results import batch_result, interests_result, rank_result, recommend_result, similar_result
from unbraid_client.sent_questions import SentQuestions
from unbraid_client.types import EventLike, InterestsResult, Moment, Profile, RecommendResult

__all__ = ["QuestionCalls"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class QuestionCalls(ABC):
    """`UnbraidClient` has these calls."""

    _recommendation: RecommendationServiceStub

    def recommend(
        self,
        *,
        user_id: str | None = None,
        history: Iterable[EventLike] | None = None,
        limit: int = 20,
        as_of: Moment | None = None,
        include_seen: bool = False,
        excluded_item_ids: Iterable[str] = (),
        profile: Profile | None = None,
        diversity: float = 0.0,
        balance: float = 0.0,
        min_probability: float = 0.0,
        conditions: Iterable[Condition] = (),
        allowed_item_ids: Iterable[str] | None = None,
        timeout_s: float | None = None,
    ) -> RecommendResult:
        """Items for a user of the server's state store, or for a history sent along; exactly one of the two.

        Args:
            user_id: a user that the server knows; an unknown one is answered by popularity.
            history: events in any order, at most 10000.
            limit: how many items, at most 500.
            as_of: the moment that is answered for; the server's now where it is None.
            include_seen: whether items of the history may come back.
            excluded_item_ids: items that must not come back, at most 10000.
            profile: how to rank; None takes LEARNED where the release has a ranker, and FORMULA where it has none.
            diversity: 0 for the order of the scores, up to 1 for items as unlike each other as can be.
            balance: how much of its share of the list each interest is sure of, 0 to 1.
            min_probability: items that the user takes with less than this probability are left out.
            conditions: what items have to meet, all of it; at most 32.
            allowed_item_ids: no other items come back; at least one and at most 10000. None allows all.
            timeout_s: deadline of this call.

        Raises:
            ValueError: user_id and history both or neither, a time without a time zone, or no allowed item.
            TypeError: an argument, or what it holds, is of another type than it has to be.
            ClientError: the call failed; InvalidRequest for a condition that the release cannot answer, and for profile
                LEARNED where it has no ranker.
        """
        question = Question(
            user_id=user_id,
            history=history,
            limit=limit,
            as_of=as_of,
            include_seen=include_seen,
            excluded_item_ids=excluded_item_ids,
            profile=profile,
            diversity=diversity,
            balance=balance,
            min_probability=min_probability,
            conditions=conditions,
            allowed_item_ids=allowed_item_ids,
        )
        return recommend_result(self._call(self._recommendation.Recommend, recommend_request(question), timeout_s))

    def get_interests(
        self,
        *,
        user_id: str | None = None,
        history: Iterable[EventLike] | None = None,
        as_of: Moment | None = None,
        evidence_limit: int = 5,
        include_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> InterestsResult:
        """The interests of a user of the state store, or of a history sent along; exactly one of the two.

        Args:
            user_id: a user that the server knows.
            history: events in any order, at most 10000.
            as_of: the moment that is answered for; the server's now where it is None.
            evidence_limit: how many events to show for each interest, at most 50; 0 means 5.
            include_vectors: whether to send the vectors.
            timeout_s: deadline of this call.

        Raises:
            ValueError: user_id and history both or neither, or a time without a time zone.
            ClientError: the call failed; NotFound for a user that the server does not know.
        """
        request = interests_request(
            user_id=user_id,
            history=history,
            as_of=as_of,
            evidence_limit=evidence_limit,
            include_vectors=include_vectors,
        )
        return interests_result(self._call(self._recommendation.GetInterests, request, timeout_s))

    def batch_recommend(self, questions: Iterable[Question], *, timeout_s: float | None = None) -> BatchResult:
        """Items for many users or histories, by one release.

        Args:
            questions: from 1 to 256. Together they may hold 30000 events and item ids, and ask for 20000 items.
            timeout_s: deadline of this call.

        Returns:
            An answer for each question; one that cannot be answered has an error, and fails alone.

        Raises:
            ValueError, TypeError: a question that cannot be sent; see ``recommend``.
            ClientError: the whole call failed.
        """
        sent = several(questions, "questions", "Question")
        return batch_result(sent, self._call(self._recommendation.BatchRecommend, batch_request(sent), timeout_s))

    def stream_recommend(self, questions: Iterable[Question], *, timeout_s: float | None = None) -> Iterator[Answer]:
        """Items for users or histories as they come, on one stream.

        Args:
            questions: any number. They are taken in a thread of gRPC, and no faster than the server takes them, which
                stops where answers are not read.
            timeout_s: deadline of the whole stream; None for none. The stream ends when the iteration is stopped.

        Returns:
            An answer for each question, in their order.

        Raises:
            ValueError, TypeError: a question that cannot be sent, after the answers to those before it.
            ClientError: the stream failed; Unavailable where the server stops. Questions without an answer may be asked
                again.
        """
        sent = SentQuestions()
        call = self._recommendation.StreamRecommend(
            sent.messages(questions), timeout=None if timeout_s is None else seconds(timeout_s)
        )
        try:
            for response in call:
                yield from sent.answers(response)
        except grpc.RpcError as error:
            raise error_of(error) from error
        finally:
            call.cancel()
        if sent.failure is not None:
            raise sent.failure

    def rank_items(
        self,
        item_ids: Iterable[str],
        *,
        user_id: str | None = None,
        history: Iterable[EventLike] | None = None,
        as_of: Moment | None = None,
        include_seen: bool = False,
        profile: Profile | None = None,
        timeout_s: float | None = None,
    ) -> RankResult:
        """Given items in the order in which a user would take them, with their scores; seen ones are not left out.

        Args:
            item_ids: from 1 to 1000, each once.
            user_id: a user that the server knows; for an unknown one items are ranked by popularity.
            history: events in any order, at most 10000; exactly one of the two.
            as_of: the moment that is answered for; the server's now where it is None.
            include_seen: whether scores are those among candidates that the user may have had before; then how often
                counts.
            profile: how to rank; None takes LEARNED where the release has a ranker, and FORMULA where it has none.
            timeout_s: deadline of this call.

        Raises:
            ValueError: user_id and history both or neither, or a time without a time zone.
            ClientError: the call failed.
        """
        request = rank_request(
            item_ids, user_id=user_id, history=history, as_of=as_of, include_seen=include_seen, profile=profile
        )
        return rank_result(self._call(self._recommendation.RankItems, request, timeout_s))

    def similar_items(
        self,
        item_id: str,
        *,
        limit: int = 20,
        excluded_item_ids: Iterable[str] = (),
        conditions: Iterable[Condition] = (),
        allowed_item_ids: Iterable[str] | None = None,
        timeout_s: float | None = None,
    ) -> SimilarResult:
        """The items whose vectors are nearest to that of an item, without the item itself.

        Args:
            item_id: which item.
            limit: how many neighbours, at most 500.
            excluded_item_ids: items that must not come back, at most 10000.
            conditions: what items have to meet, all of it; at most 32.
            allowed_item_ids: no other items come back; at least one and at most 10000. None allows all.
            timeout_s: deadline of this call.

        Raises:
            ValueError, TypeError: no allowed item, or a condition that cannot be sent.
            ClientError: the call failed; NotFound for an item that the release does not know.
        """
        request = similar_request(
            item_id,
            limit=limit,
            excluded_item_ids=excluded_item_ids,
            conditions=conditions,
            allowed_item_ids=allowed_item_ids,
        )
        return similar_result(self._call(self._recommendation.SimilarItems, request, timeout_s))

    @abstractmethod
    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout_s: float | None
    ) -> Response: ...
