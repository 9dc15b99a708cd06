"""Answers of the pipeline as messages.

Two things halve the time: arrays become Python lists in one step each, because protobuf takes NumPy scalars slowly, and
messages grow in place, because the constructor of a message copies every message that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import Evidence, weigh_evidence
from unbraid_core.types import Basis, Interests, Profile, Query, Ranking, SearchPlan
from unbraid_server.model import Model
from unbraid_server.recommendation_wire import written_recommendations
from unbraid_server.timestamps import duration, timestamp

__all__ = ["PROFILES", "get_interests_response", "recommend_response"]

RECOMMEND_EVIDENCE_LIMIT = 3

BASIS = {
    Basis.INTERESTS: pb.ANSWER_BASIS_INTERESTS,
    Basis.POPULARITY: pb.ANSWER_BASIS_POPULARITY,
}
PROFILES = {
    Profile.FORMULA: pb.RANKING_PROFILE_FORMULA,
    Profile.LEARNED: pb.RANKING_PROFILE_LEARNED,
}
SEARCH_PLANS = {
    SearchPlan.INDEX: filter_pb2.SEARCH_PLAN_INDEX,
    SearchPlan.SCAN: filter_pb2.SEARCH_PLAN_SCAN,
    SearchPlan.LISTS: filter_pb2.SEARCH_PLAN_LISTS,
}


def recommend_response(model: Model, query: Query, ranking: Ranking, ignored_count: int) -> bytes:
    """The answer to a RecommendRequest, a RecommendResponse in wire format."""
    response = pb.RecommendResponse(
        release_id=model.release_id,
        basis=BASIS[ranking.basis],
        as_of_time=timestamp(query.now_s),
        ignored_event_count=ignored_count,
        profile=PROFILES[ranking.profile],
        search_plan=None if ranking.plan is None else SEARCH_PLANS[ranking.plan],
        matching_item_count=ranking.matching_count,
        exhausted=ranking.allowed_count < query.limit,
    )
    if ranking.probability_R is not None and len(ranking.probability_R) > 0:
        response.expected_precision = float(ranking.probability_R.mean())
    if ranking.interests is not None:
        _add_interests(response, model, ranking.interests, query.now_s, RECOMMEND_EVIDENCE_LIMIT)
    return response.SerializeToString() + written_recommendations(model.shown, ranking)


def get_interests_response(
    model: Model,
    query: Query,
    interests: Interests | None,
    ignored_count: int,
    evidence_limit: int,
    *,
    include_vectors: bool,
) -> pb.GetInterestsResponse:
    """The answer to a GetInterestsRequest."""
    response = pb.GetInterestsResponse(
        release_id=model.release_id,
        as_of_time=timestamp(query.now_s),
        ignored_event_count=ignored_count,
        space_id=model.space_id,
    )
    if interests is not None:
        _add_interests(response, model, interests, query.now_s, evidence_limit)
        if include_vectors:
            for interest, vector_D in zip(response.interests, interests.vectors_KD.astype("<f4"), strict=True):
                interest.vector = vector_D.tobytes()
    return response


def _add_interests(
    response: pb.RecommendResponse | pb.GetInterestsResponse,
    model: Model,
    interests: Interests,
    now_s: float,
    evidence_limit: int,
) -> None:
    half_life_s_K = model.pipeline.half_life_s_K
    for k, (mass, share, half_life_s) in enumerate(
        zip(interests.mass_K.tolist(), np.exp(interests.log_share_K).tolist(), half_life_s_K.tolist(), strict=True)
    ):
        response.interests.add(index=k, mass=mass, share=share, half_life=duration(half_life_s))
    _add_evidence(response.interests, model, weigh_evidence(interests, now_s, half_life_s_K, evidence_limit))


def _add_evidence(messages: Sequence[pb.Interest], model: Model, evidence: Evidence) -> None:
    """Give each interest its E items."""
    width = evidence.row_KE.shape[1]
    row_N = evidence.row_KE.ravel()
    for position, (item_id, title, time_s, assignment, weight) in enumerate(
        zip(
            model.catalogue.ids(row_N),
            model.catalogue.titles(row_N),
            evidence.time_s_KE.ravel().tolist(),
            evidence.assignment_KE.ravel().tolist(),
            evidence.weight_KE.ravel().tolist(),
            strict=True,
        )
    ):
        messages[position // width].evidence.add(
            item_id=item_id, title=title, event_time=timestamp(time_s), assignment=assignment, weight=weight
        )
