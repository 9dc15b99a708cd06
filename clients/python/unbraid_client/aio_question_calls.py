"""Calls of the asyncio client about users and items: those of RecommendationService."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

from unbraid_client.arguments import seconds, several
from unbraid_client.errors import error_of
from unbraid_client.filters import Condition
from unbraid_client.questions import Answer, BatchResult, Question, RankResult, SimilarResult
from unbraid_client.requests import batch_request, interests_request, rank_request, recommend_request, similar_request
from unbraid_client.results import batch_result, interests_result, rank_result, recommend_result, similar_result
from unbraid_client.sent_questions import SentQuestions
from unbraid_client.types import EventLike, InterestsResult, Moment, Profile, RecommendResult

if TYPE_CHECKING:
    # One class serves both clients; this name stands for it in the stubs for type checkers only.
    from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceAsyncStub

__all__ = ["AsyncQuestionCalls"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class AsyncQuestionCalls(ABC):
    """`AsyncUnbraidClient` has these calls."""

    _recommendation: RecommendationServiceAsyncStub

    async def recommend(
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
        """Items for a user or a history; see `UnbraidClient.recommend`."""
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
        return recommend_result(
            await self._call(self._recommendation.Recommend, recommend_request(question), timeout_s)
        )

    async def get_interests(
        self,
        *,
        user_id: str | None = None,
        history: Iterable[EventLike] | None = None,
        as_of: Moment | None = None,
        evidence_limit: int = 5,
        include_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> InterestsResult:
        """The interests of a user or a history; see `UnbraidClient.get_interests`."""
        request = interests_request(
            user_id=user_id,
            history=history,
            as_of=as_of,
            evidence_limit=evidence_limit,
            include_vectors=include_vectors,
        )
        return interests_result(await self._call(self._recommendation.GetInterests, request, timeout_s))

    async def batch_recommend(self, questions: Iterable[Question], *, timeout_s: float | None = None) -> BatchResult:
        """Items for many users or histories; see `UnbraidClient.batch_recommend`."""
        sent = several(questions, "questions", "Question")
        request = batch_request(sent)
        return batch_result(sent, await self._call(self._recommendation.BatchRecommend, request, timeout_s))

    async def stream_recommend(
        self, questions: AsyncIterable[Question], *, timeout_s: float | None = None
    ) -> AsyncIterator[Answer]:
        """Items for users or histories as they come; see `UnbraidClient.stream_recommend`."""
        sent = SentQuestions()
        call = self._recommendation.StreamRecommend(
            sent.awaited_messages(questions), timeout=None if timeout_s is None else seconds(timeout_s)
        )
        try:
            async for response in call:
                for answer in sent.answers(response):
                    yield answer
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        finally:
            call.cancel()
        if sent.failure is not None:
            raise sent.failure

    async def rank_items(
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
        """Given items, best first; see `UnbraidClient.rank_items`."""
        request = rank_request(
            item_ids, user_id=user_id, history=history, as_of=as_of, include_seen=include_seen, profile=profile
        )
        return rank_result(await self._call(self._recommendation.RankItems, request, timeout_s))

    async def similar_items(
        self,
        item_id: str,
        *,
        limit: int = 20,
        excluded_item_ids: Iterable[str] = (),
        conditions: Iterable[Condition] = (),
        allowed_item_ids: Iterable[str] | None = None,
        timeout_s: float | None = None,
    ) -> SimilarResult:
        """The neighbours of an item; see `UnbraidClient.similar_items`."""
        request = similar_request(
            item_id,
            limit=limit,
            excluded_item_ids=excluded_item_ids,
            conditions=conditions,
            allowed_item_ids=allowed_item_ids,
        )
        return similar_result(await self._call(self._recommendation.SimilarItems, request, timeout_s))

    @abstractmethod
    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout_s: float | None
    ) -> Response: ...
