"""RecommendationService: requests to questions, answers to responses. No rule of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import grpc

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceServicer
from unbraid_core.errors import Overloaded
from unbraid_server.batch_requests import check_batch, check_question_id
from unbraid_server.call_facts import client_name
from unbraid_server.call_record import enter_step
from unbraid_server.outcomes import batch_recommend_response, stream_recommend_responses
from unbraid_server.recommender import Outcome, Recommender
from unbraid_server.requests import parse_get_interests, parse_rank_items, parse_similar_items
from unbraid_server.responses import (
    get_interests_response,
    rank_items_response,
    recommend_responses,
    similar_items_response,
)
from unbraid_server.streams import Streams

__all__ = ["STREAM_METHOD", "RecommendationService"]

STREAM_METHOD = "/unbraid.v1.RecommendationService/StreamRecommend"

# Bytes, an answer in wire format, which the call boundary sends as it is. The stubs know messages only.
Written = Any


class RecommendationService(RecommendationServiceServicer):
    """Answers questions, most of them in wire format already.

    Args:
        recommender: knows the answers.
        streams: those that are open.
    """

    def __init__(self, recommender: Recommender, streams: Streams) -> None:
        self._recommender = recommender
        self._streams = streams

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> Written:
        """Recommend items; a user without a known history gets popular ones."""
        return self._recommender.respond(request, context, client_name(context), recommend_responses)

    def BatchRecommend(self, request: pb.BatchRecommendRequest, context: grpc.ServicerContext) -> Written:
        """Answer many questions by one release, each by itself."""
        check_batch(request.requests)
        model, outcomes = self._recommender.recommend(request.requests, context, client_name(context))
        enter_step("respond")
        return batch_recommend_response(model.release_id, outcomes)

    def StreamRecommend(
        self, request_iterator: Iterator[pb.StreamRecommendRequest], context: grpc.ServicerContext
    ) -> Iterator[Written]:
        """Answer what has arrived, as long as something arrives."""
        with self._streams.open(request_iterator, context) as window:
            enter_step("idle")
            while questions := window.take():
                outcomes = self._outcomes(questions, context)
                enter_step("respond")
                yield from stream_recommend_responses([question.question_id for question in questions], outcomes)
                enter_step("idle")

    def RankItems(self, request: pb.RankItemsRequest, context: grpc.ServicerContext) -> Written:
        """Put given items in the order in which a user would take them."""
        enter_step("parse")
        question = parse_rank_items(request)
        answer, unknown_item_ids = self._recommender.rank(question, context, client_name(context))
        enter_step("respond")
        return rank_items_response(answer, unknown_item_ids)

    def SimilarItems(self, request: pb.SimilarItemsRequest, context: grpc.ServicerContext) -> pb.SimilarItemsResponse:
        """Find the neighbours of an item; one that nobody knows is NOT_FOUND."""
        enter_step("parse")
        question = parse_similar_items(request)
        enter_step("answer")
        found = self._recommender.similar(question)
        enter_step("respond")
        return similar_items_response(*found)

    def GetInterests(self, request: pb.GetInterestsRequest, context: grpc.ServicerContext) -> Written:
        """Take a history apart; a user whom the state store does not know is NOT_FOUND."""
        enter_step("parse")
        question = parse_get_interests(request)
        model, query, interests, ignored_count = self._recommender.interests(question)
        enter_step("respond")
        return get_interests_response(
            model,
            query,
            interests,
            ignored_count,
            question.evidence_limit,
            include_vectors=question.include_vectors,
        )

    def _outcomes(
        self, questions: Sequence[pb.StreamRecommendRequest], context: grpc.ServicerContext
    ) -> Sequence[Outcome]:
        """What comes of questions that arrived together; too many for now do not end their stream."""
        for question in questions:
            check_question_id(question.question_id)
        try:
            _, outcomes = self._recommender.recommend(
                [question.request for question in questions], context, client_name(context)
            )
        except Overloaded as error:
            return [error] * len(questions)
        return outcomes
