"""Questions to answers: histories, one model for all questions of a call, the batcher. Nothing here knows gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import NotFound, Overloaded, UnbraidError
from unbraid_core.ports import StateStore
from unbraid_core.similar_items import SimilarItems, SimilarQuery, similar_items
from unbraid_core.types import IntArray, Interests, Query, Ranking
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher, Caller
from unbraid_server.call_record import enter_step
from unbraid_server.model import Model
from unbraid_server.recall_monitor import RecallMonitor
from unbraid_server.requests import (
    MAX_HISTORY_EVENTS,
    EventColumns,
    InterestsQuestion,
    RankQuestion,
    RecommendQuestion,
    SimilarQuestion,
    Subject,
    parse_recommend,
)

__all__ = ["Answer", "Outcome", "Recommender"]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model answers to a query, and how many events of the history it does not know."""

    model: Model
    query: Query
    ranking: Ranking
    ignored_count: int


Outcome = Answer | UnbraidError


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    question: RecommendQuestion
    events: EventColumns


@dataclass(frozen=True, slots=True, eq=False)
class _Posed:
    query: Query
    ignored_count: int


class Recommender:
    """Answers every call from the model that is the current one when it needs it.

    Args:
        active: which model that is.
        state: histories of users that callers know by id only.
        batcher: answers calls that come at the same time together.
        together_limit: questions of one call that are answered together; then others have a turn.
        recall: gets every answer, to compare a few with exact search.
        now: epoch seconds, for questions that do not say when.
    """

    def __init__(
        self,
        active: ActiveModel,
        state: StateStore,
        batcher: Batcher,
        together_limit: int,
        recall: RecallMonitor,
        now: Callable[[], float],
    ) -> None:
        self._active = active
        self._state = state
        self._batcher = batcher
        self._together_limit = together_limit
        self._recall = recall
        self._now = now

    def respond(
        self,
        request: pb.RecommendRequest,
        caller: Caller,
        client: str,
        write: Callable[[Sequence[Answer]], Sequence[bytes]],
    ) -> bytes:
        """Answer one question.

        Args:
            request: the question.
            caller: who waits for the answer.
            client: who shares the queue fairly with the others.
            write: makes a response of each answer, in the thread of whichever call answers.

        Raises:
            UnbraidError: it cannot be answered.
        """
        asked = self._asked(request)
        if isinstance(asked, UnbraidError):
            raise asked
        enter_step("history")
        model = self._active.current()
        posed = self._posed(model, asked)
        if isinstance(posed, UnbraidError):
            raise posed

        def answer(rankings: list[Ranking]) -> Answer:
            [ranking] = rankings
            self._recall.offer(model, posed.query, ranking)
            return Answer(model, posed.query, ranking, posed.ignored_count)

        return self._batcher.answer(model, [posed.query], caller, client, answer, write)

    def recommend(
        self, requests: Sequence[pb.RecommendRequest], caller: Caller, client: str
    ) -> tuple[Model, list[Outcome]]:
        """Answer questions by one model, each by itself: where one cannot be answered, its error takes the place.

        A user without a known history gets popular items.

        Returns:
            The model, and an outcome for each question.

        Raises:
            Overloaded: the first questions were refused, so nothing is done yet.
            CallerGone: nobody waits for the answers any more.
        """
        asked = [self._asked(request) for request in requests]
        enter_step("history")
        model = self._active.current()
        posed = [each if isinstance(each, UnbraidError) else self._posed(model, each) for each in asked]
        queries = [each.query for each in posed if isinstance(each, _Posed)]
        rankings = iter(self._rankings(model, queries, caller, client))
        return model, [
            each if isinstance(each, UnbraidError) else self._answer(model, each, next(rankings)) for each in posed
        ]

    def rank(self, question: RankQuestion, caller: Caller, client: str) -> tuple[Answer, list[str]]:
        """Put given items in order, and say which of them the model does not know.

        Raises:
            InvalidInput: as ``Pipeline.recommend``.
            Overloaded, CallerGone: as ``Batcher.recommend``.
        """
        enter_step("state")
        events = self._known_events(question.subject)
        enter_step("history")
        model = self._active.current()
        known = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s)
        row_L = model.catalogue.living_rows(question.item_ids)
        query = Query(
            history=known.history,
            now_s=self._now() if question.as_of_s is None else question.as_of_s,
            limit=int(np.count_nonzero(row_L >= 0)),
            include_seen=question.include_seen,
            profile=question.profile or model.profiles[0],
            listed_row_U=row_L[row_L >= 0],
        )
        model.pipeline.check(query)
        [ranking] = self._batcher.recommend(model, [query], caller, client)
        unknown = [item_id for item_id, row in zip(question.item_ids, row_L.tolist(), strict=True) if row < 0]
        return Answer(model, query, ranking, known.ignored_count), unknown

    def similar(self, question: SimilarQuestion) -> tuple[Model, SimilarItems]:
        """The neighbours of an item.

        Raises:
            NotFound: the model does not know the item.
            InvalidInput: the model cannot answer the filter.
        """
        model = self._active.current()
        row = model.catalogue.row(question.item_id)
        if row < 0:
            raise NotFound(f"item {question.item_id!r} is not in the catalogue", item_id=question.item_id)
        query = SimilarQuery(
            row=row,
            limit=question.limit,
            excluded_row_X=_known_rows(model, question.excluded_item_ids),
            filter=question.filter,
            allowed_row_A=_known_rows(model, question.allowed_item_ids) if question.allowed_item_ids else None,
        )
        return model, similar_items(model.pipeline, query)

    def interests(self, question: InterestsQuestion) -> tuple[Model, Query, Interests | None, int]:
        """The interests of a history at the moment of the query, and how many events the model does not know.

        Raises:
            NotFound: the state store does not know the user.
        """
        enter_step("state")
        events = self._events(question.subject)
        enter_step("history")
        model = self._active.current()
        known = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s)
        now_s = self._now() if question.as_of_s is None else question.as_of_s
        query = Query(history=known.history, now_s=now_s, limit=0)
        enter_step("answer")
        [interests] = model.pipeline.interests([query])
        return model, query, interests, known.ignored_count

    def _asked(self, request: pb.RecommendRequest) -> _Asked | UnbraidError:
        try:
            enter_step("parse")
            question = parse_recommend(request)
            enter_step("state")
            return _Asked(question, self._known_events(question.subject))
        except UnbraidError as error:
            return error

    def _posed(self, model: Model, asked: _Asked) -> _Posed | UnbraidError:
        question, events = asked.question, asked.events
        known = model.history(events.item_ids, events.times_s, events.actions, question.as_of_s)
        query = Query(
            history=known.history,
            now_s=self._now() if question.as_of_s is None else question.as_of_s,
            limit=question.limit,
            include_seen=question.include_seen,
            excluded_row_X=_known_rows(model, question.excluded_item_ids),
            profile=question.profile or model.profiles[0],
            diversity=question.diversity,
            balance=question.balance,
            min_probability=question.min_probability,
            filter=question.filter,
            allowed_row_A=_known_rows(model, question.allowed_item_ids) if question.allowed_item_ids else None,
        )
        try:
            model.pipeline.check(query)
        except UnbraidError as error:
            return error
        return _Posed(query, known.ignored_count)

    def _rankings(
        self, model: Model, queries: Sequence[Query], caller: Caller, client: str
    ) -> list[Ranking | UnbraidError]:
        found: list[Ranking | UnbraidError] = []
        for start in range(0, len(queries), self._together_limit):
            together = queries[start : start + self._together_limit]
            try:
                found += self._batcher.recommend(model, together, caller, client)
            except Overloaded as error:
                if not found:
                    raise
                found += [error] * len(together)
        return found

    def _answer(self, model: Model, posed: _Posed, ranking: Ranking | UnbraidError) -> Outcome:
        if isinstance(ranking, UnbraidError):
            return ranking
        self._recall.offer(model, posed.query, ranking)
        return Answer(model, posed.query, ranking, posed.ignored_count)

    def _known_events(self, subject: Subject) -> EventColumns:
        try:
            return self._events(subject)
        except NotFound:
            return EventColumns()

    def _events(self, subject: Subject) -> EventColumns:
        if isinstance(subject, EventColumns):
            return subject
        return EventColumns.of(self._state.read(subject, MAX_HISTORY_EVENTS))


def _known_rows(model: Model, item_ids: Sequence[str]) -> IntArray:
    row_N = model.catalogue.rows(item_ids)
    known_N: IntArray = row_N[row_N >= 0]
    return known_N
