"""RecommendationService: requests to questions, the pipeline, answers to responses. No rule of its own."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceServicer
from unbraid_core.errors import NotFound
from unbraid_core.ports import StateStore
from unbraid_core.types import Query
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher
from unbraid_server.call_facts import client_name
from unbraid_server.recall_monitor import RecallMonitor
from unbraid_server.requests import (
    MAX_HISTORY_EVENTS,
    EventColumns,
    Subject,
    parse_get_interests,
    parse_recommend,
)
from unbraid_server.responses import get_interests_response, recommend_response

__all__ = ["RecommendationService"]


class RecommendationService(RecommendationServiceServicer):
    """Answers every call from the model that is the current one when it needs it.

    Args:
        active: which model that is.
        state: histories of users that callers know by id only.
        batcher: answers calls that come at the same time together.
        recall: gets every answer, to compare a few with exact search.
        now: epoch seconds, for questions that do not say when.
    """

    def __init__(
        self,
        active: ActiveModel,
        state: StateStore,
        batcher: Batcher,
        recall: RecallMonitor,
        now: Callable[[], float],
    ) -> None:
        self._active = active
        self._state = state
        self._batcher = batcher
        self._recall = recall
        self._now = now

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> bytes:  # type: ignore[override]
        """Recommend items; a user without a known history gets popular ones. The answer is in wire format."""
        question = parse_recommend(request)
        try:
            events = self._events(question.subject)
        except NotFound:
            events = EventColumns()
        model = self._active.current()
        known = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s)
        excluded_row_X = model.catalogue.rows(question.excluded_item_ids)
        allowed_row_A = model.catalogue.rows(question.allowed_item_ids) if question.allowed_item_ids else None
        query = Query(
            history=known.history,
            now_s=self._now() if question.as_of_s is None else question.as_of_s,
            limit=question.limit,
            include_seen=question.include_seen,
            excluded_row_X=excluded_row_X[excluded_row_X >= 0],
            profile=question.profile or model.profiles[0],
            diversity=question.diversity,
            balance=question.balance,
            min_probability=question.min_probability,
            filter=question.filter,
            allowed_row_A=None if allowed_row_A is None else allowed_row_A[allowed_row_A >= 0],
        )
        [ranking] = self._batcher.recommend(model, [query], context, client_name(context))
        self._recall.offer(model, query, ranking)
        return recommend_response(model, query, ranking, known.ignored_count)

    def GetInterests(self, request: pb.GetInterestsRequest, context: grpc.ServicerContext) -> bytes:  # type: ignore[override]
        """Take a history apart; a user whom the state store does not know is NOT_FOUND."""
        question = parse_get_interests(request)
        events = self._events(question.subject)
        model = self._active.current()
        known = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s)
        now_s = self._now() if question.as_of_s is None else question.as_of_s
        query = Query(history=known.history, now_s=now_s, limit=0)
        [interests] = model.pipeline.interests([query])
        return get_interests_response(
            model,
            query,
            interests,
            known.ignored_count,
            question.evidence_limit,
            include_vectors=question.include_vectors,
        )

    def _events(self, subject: Subject) -> EventColumns:
        if isinstance(subject, EventColumns):
            return subject
        return EventColumns.of(self._state.read(subject, MAX_HISTORY_EVENTS))
