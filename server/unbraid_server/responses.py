"""Answers of the pipeline as responses in wire format.

What there is once in a response is a message. What there is many times, items and the evidence behind interests, is
written without messages: one for each would cost more than all else besides the pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import weigh_all
from unbraid_core.similar_items import SimilarItems
from unbraid_core.types import Basis, Effort, Interests, Profile, Query, SearchPlan
from unbraid_server.interest_wire import written_interests
from unbraid_server.model import Model
from unbraid_server.recommendation_wire import written_recommendations
from unbraid_server.recommender import Answer
from unbraid_server.timestamps import timestamp
from unbraid_server.wire import Openings

__all__ = [
    "PROFILES",
    "get_interests_response",
    "rank_items_response",
    "recommend_responses",
    "similar_items_response",
]

RECOMMEND_EVIDENCE_LIMIT = 3
RECOMMENDATIONS = Openings(pb.RecommendResponse.DESCRIPTOR.fields_by_name["recommendations"])
RANKED_ITEMS = Openings(pb.RankItemsResponse.DESCRIPTOR.fields_by_name["items"])
RECOMMENDED_INTERESTS, RANKED_INTERESTS, USER_INTERESTS = (
    Openings(response.DESCRIPTOR.fields_by_name["interests"])
    for response in (pb.RecommendResponse, pb.RankItemsResponse, pb.GetInterestsResponse)
)

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
    SearchPlan.CODES: filter_pb2.SEARCH_PLAN_CODES,
}


def recommend_responses(answers: Sequence[Answer]) -> list[bytes]:
    """The answers of one model to RecommendRequests: RecommendResponses, written together for half of the cost.

    Args:
        answers: at least one.
    """
    model = answers[0].model
    items = written_recommendations(RECOMMENDATIONS, model.shown, [answer.ranking for answer in answers])
    interests = _interests(
        RECOMMENDED_INTERESTS,
        model,
        [(answer.ranking.interests, answer.query.now_s) for answer in answers],
        RECOMMEND_EVIDENCE_LIMIT,
    )
    return list(map(b"".join, zip(map(_beginning, answers), items, interests, strict=True)))


def rank_items_response(answer: Answer, unknown_item_ids: Sequence[str]) -> bytes:
    """The answer to a RankItemsRequest: a RankItemsResponse."""
    model, query, ranking = answer.model, answer.query, answer.ranking
    written = pb.RankItemsResponse(
        release_id=model.release_id,
        unknown_item_ids=unknown_item_ids,
        basis=BASIS[ranking.basis],
        as_of_time=timestamp(query.now_s),
        ignored_event_count=answer.ignored_count,
        profile=PROFILES[ranking.profile],
    ).SerializeToString()
    [items] = written_recommendations(RANKED_ITEMS, model.shown, [ranking])
    [interests] = _interests(RANKED_INTERESTS, model, [(ranking.interests, query.now_s)], RECOMMEND_EVIDENCE_LIMIT)
    return written + items + interests


def similar_items_response(model: Model, similar: SimilarItems) -> pb.SimilarItemsResponse:
    """The answer to a SimilarItemsRequest."""
    response = pb.SimilarItemsResponse(
        release_id=model.release_id,
        search_plan=SEARCH_PLANS[similar.plan],
        matching_item_count=similar.matching_count,
    )
    catalogue, row_R = model.catalogue, similar.row_R
    for item_id, title, categories, similarity in zip(
        catalogue.ids(row_R),
        catalogue.titles(row_R),
        catalogue.category_lists(row_R),
        similar.similarity_R.tolist(),
        strict=True,
    ):
        response.items.add(item_id=item_id, title=title, categories=categories, similarity=similarity)
    return response


def get_interests_response(
    model: Model,
    query: Query,
    interests: Interests | None,
    ignored_count: int,
    evidence_limit: int,
    *,
    include_vectors: bool,
) -> bytes:
    """The answer to a GetInterestsRequest: a GetInterestsResponse."""
    written = pb.GetInterestsResponse(
        release_id=model.release_id,
        as_of_time=timestamp(query.now_s),
        ignored_event_count=ignored_count,
        space_id=model.space_id,
    ).SerializeToString()
    [strands] = _interests(
        USER_INTERESTS, model, [(interests, query.now_s)], evidence_limit, include_vectors=include_vectors
    )
    return written + strands


def _beginning(answer: Answer) -> bytes:
    """All that there is once in a RecommendResponse."""
    model, query, ranking = answer.model, answer.query, answer.ranking
    response = pb.RecommendResponse(
        release_id=model.release_id,
        basis=BASIS[ranking.basis],
        as_of_time=timestamp(query.now_s),
        ignored_event_count=answer.ignored_count,
        profile=PROFILES[ranking.profile],
        search_plan=None if ranking.plan is None else SEARCH_PLANS[ranking.plan],
        matching_item_count=ranking.matching_count,
        exhausted=ranking.allowed_count < query.limit,
        degraded=ranking.effort is Effort.REDUCED,
    )
    if ranking.probability_R is not None and len(ranking.probability_R) > 0:
        response.expected_precision = float(ranking.probability_R.mean())
    return response.SerializeToString()


def _interests(
    openings: Openings,
    model: Model,
    users: Sequence[tuple[Interests | None, float]],
    evidence_limit: int,
    *,
    include_vectors: bool = False,
) -> list[bytes]:
    """The interests of each response, at the ``now`` beside them; nothing where there are none."""
    known = [(interests, now_s) for interests, now_s in users if interests is not None]
    if not known:
        return [b""] * len(users)
    half_life_s_K = model.pipeline.half_life_s_K
    written = iter(
        written_interests(
            openings,
            [interests for interests, _ in known],
            half_life_s_K,
            model.shown,
            weigh_all(known, half_life_s_K, evidence_limit),
            include_vectors=include_vectors,
        )
    )
    return [b"" if interests is None else next(written) for interests, _ in users]
