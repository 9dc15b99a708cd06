"""Response messages to Python values, shared by both clients."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import filter_pb2, status_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client.errors import error_of_status
from unbraid_client.questions import Answer, BatchResult, Question, RankResult, SimilarItem, SimilarResult
from unbraid_client.serving import serving_status
from unbraid_client.tls import SecurityStatus
from unbraid_client.types import (
    ActivationError,
    Basis,
    CatalogueStatus,
    DeviceStatus,
    Evidence,
    Interest,
    InterestsResult,
    Profile,
    RecallStatus,
    Recommendation,
    RecommendResult,
    ReleaseStatus,
    ScoreTerms,
    SearchPlan,
    ServerStatus,
    Source,
)

__all__ = [
    "answer",
    "batch_result",
    "interests_result",
    "rank_result",
    "recommend_result",
    "server_status",
    "similar_result",
]

BASIS_OF_VALUE = {
    pb.ANSWER_BASIS_INTERESTS: Basis.INTERESTS,
    pb.ANSWER_BASIS_POPULARITY: Basis.POPULARITY,
}
SOURCE_OF_VALUE = {
    pb.CANDIDATE_SOURCE_INTERESTS: Source.INTERESTS,
    pb.CANDIDATE_SOURCE_OWN_ITEMS: Source.OWN_ITEMS,
    pb.CANDIDATE_SOURCE_POPULAR: Source.POPULAR,
    pb.CANDIDATE_SOURCE_NEIGHBOURS: Source.NEIGHBOURS,
    pb.CANDIDATE_SOURCE_FACTORS: Source.FACTORS,
}
PROFILE_OF_VALUE = {
    pb.RANKING_PROFILE_FORMULA: Profile.FORMULA,
    pb.RANKING_PROFILE_LEARNED: Profile.LEARNED,
}
SEARCH_PLAN_OF_VALUE = {
    filter_pb2.SEARCH_PLAN_INDEX: SearchPlan.INDEX,
    filter_pb2.SEARCH_PLAN_SCAN: SearchPlan.SCAN,
    filter_pb2.SEARCH_PLAN_LISTS: SearchPlan.LISTS,
    filter_pb2.SEARCH_PLAN_CODES: SearchPlan.CODES,
}
FLOAT32_BYTES = 4


def recommend_result(response: pb.RecommendResponse) -> RecommendResult:
    """The answer of a Recommend call."""
    return RecommendResult(
        release_id=response.release_id,
        recommendations=tuple(map(_recommendation, response.recommendations)),
        interests=tuple(map(_interest, response.interests)),
        basis=BASIS_OF_VALUE.get(response.basis, Basis.UNKNOWN),
        profile=_profile(response.profile),
        as_of=_utc(response.as_of_time),
        ignored_event_count=response.ignored_event_count,
        expected_precision=response.expected_precision if response.HasField("expected_precision") else None,
        search_plan=_search_plan(response),
        matching_item_count=response.matching_item_count if response.HasField("matching_item_count") else None,
        exhausted=response.exhausted,
        degraded=response.degraded,
    )


def batch_result(questions: Sequence[Question], response: pb.BatchRecommendResponse) -> BatchResult:
    """The answer of a BatchRecommend call."""
    return BatchResult(response.release_id, tuple(map(answer, questions, response.outcomes)))


def answer(question: Question, outcome: pb.RecommendOutcome | pb.StreamedOutcome) -> Answer:
    """An answer of a BatchRecommend or StreamRecommend call."""
    if outcome.HasField("error"):
        return Answer(question, None, error_of_status(outcome.error))
    return Answer(question, recommend_result(outcome.response), None)


def rank_result(response: pb.RankItemsResponse) -> RankResult:
    """The answer of a RankItems call."""
    return RankResult(
        release_id=response.release_id,
        items=tuple(map(_recommendation, response.items)),
        unknown_item_ids=tuple(response.unknown_item_ids),
        interests=tuple(map(_interest, response.interests)),
        basis=BASIS_OF_VALUE.get(response.basis, Basis.UNKNOWN),
        profile=_profile(response.profile),
        as_of=_utc(response.as_of_time),
        ignored_event_count=response.ignored_event_count,
    )


def similar_result(response: pb.SimilarItemsResponse) -> SimilarResult:
    """The answer of a SimilarItems call."""
    items = tuple(
        SimilarItem(item.item_id, item.title, tuple(item.categories), item.similarity) for item in response.items
    )
    return SimilarResult(
        release_id=response.release_id,
        items=items,
        search_plan=SEARCH_PLAN_OF_VALUE.get(response.search_plan, SearchPlan.UNKNOWN),
        matching_item_count=response.matching_item_count if response.HasField("matching_item_count") else None,
    )


def interests_result(response: pb.GetInterestsResponse) -> InterestsResult:
    """The answer of a GetInterests call."""
    return InterestsResult(
        release_id=response.release_id,
        space_id=response.space_id,
        interests=tuple(map(_interest, response.interests)),
        as_of=_utc(response.as_of_time),
        ignored_event_count=response.ignored_event_count,
    )


def server_status(response: status_pb2.GetStatusResponse) -> ServerStatus:
    """The answer of a GetStatus call."""
    release, device = response.release, response.device
    return ServerStatus(
        release=ReleaseStatus(
            release_id=release.release_id,
            space_id=release.space_id,
            created_time=_utc(release.created_time),
            item_count=release.item_count,
            interest_count=release.interest_count,
            dimension=release.dimension,
            max_history=release.max_history,
            index_family=release.index_family,
            index_recall=release.index_recall,
            index_recall_at=release.index_recall_at,
            ranking_profiles=tuple(map(_profile, release.ranking_profiles)),
        ),
        device=DeviceStatus(
            requested=device.requested,
            active=device.active,
            providers=tuple(device.providers),
            intra_op_thread_count=device.intra_op_thread_count,
            reason=device.reason,
            retrieval=device.retrieval,
            retrieval_reason=device.retrieval_reason,
        ),
        versions={component.name: component.version for component in response.versions},
        start_time=_utc(response.start_time),
        user_count=response.user_count,
        max_concurrent_calls=response.max_concurrent_calls,
        last_activation_error=(
            _activation_error(response.last_activation_error) if response.HasField("last_activation_error") else None
        ),
        live_recall=_recall_status(response.live_recall),
        catalogue=_catalogue_status(response.catalogue),
        serving=serving_status(response.serving),
        worker_number=response.worker_number,
        worker_count=response.worker_count,
        security=_security_status(response.security),
    )


def _security_status(status: status_pb2.SecurityStatus) -> SecurityStatus:
    expires = status.HasField("certificate_expire_time")
    return SecurityStatus(
        encrypted=status.encrypted,
        authenticated=status.authenticated,
        certificate_expire_time=_utc(status.certificate_expire_time) if expires else None,
        refused_files=tuple(status.refused_files),
    )


def _catalogue_status(status: status_pb2.CatalogueStatus) -> CatalogueStatus:
    return CatalogueStatus(
        changed_item_count=status.changed_item_count,
        replaced_item_count=status.replaced_item_count,
        homeless_item_count=status.homeless_item_count,
        sequence=status.sequence,
        rebuild_reason=status.rebuild_reason,
    )


def _recall_status(status: status_pb2.RecallStatus) -> RecallStatus:
    return RecallStatus(
        sample_count=status.sample_count,
        merged_recall=status.merged_recall if status.HasField("merged_recall") else None,
        merged_recall_p05=status.merged_recall_p05 if status.HasField("merged_recall_p05") else None,
        fill_rate=status.fill_rate if status.HasField("fill_rate") else None,
        rebuild_reason=status.rebuild_reason,
    )


def _activation_error(error: status_pb2.ActivationError) -> ActivationError:
    return ActivationError(error.release_id, error.reason, error.message, _utc(error.error_time))


def _search_plan(response: pb.RecommendResponse) -> SearchPlan | None:
    if not response.HasField("search_plan"):
        return None
    return SEARCH_PLAN_OF_VALUE.get(response.search_plan, SearchPlan.UNKNOWN)


def _profile(value: pb.RankingProfile.ValueType) -> Profile:
    return PROFILE_OF_VALUE.get(value, Profile.UNKNOWN)


def _recommendation(item: pb.Recommendation) -> Recommendation:
    return Recommendation(
        item_id=item.item_id,
        title=item.title,
        categories=tuple(item.categories),
        score=item.score,
        interest_index=item.interest_index if item.HasField("interest_index") else None,
        terms=ScoreTerms(
            affinity=item.terms.affinity,
            interest=item.terms.interest,
            popularity=item.terms.popularity,
            frequency=item.terms.frequency,
        ),
        sources=tuple(SOURCE_OF_VALUE.get(source, Source.UNKNOWN) for source in item.sources),
        probability=item.probability if item.HasField("probability") else None,
    )


def _interest(interest: pb.Interest) -> Interest:
    return Interest(
        index=interest.index,
        mass=interest.mass,
        share=interest.share,
        half_life=interest.half_life.ToTimedelta(),
        evidence=tuple(map(_evidence, interest.evidence)),
        vector=_vector(interest.vector) if interest.vector else None,
    )


def _evidence(evidence: pb.Evidence) -> Evidence:
    return Evidence(
        item_id=evidence.item_id,
        title=evidence.title,
        time=_utc(evidence.event_time),
        assignment=evidence.assignment,
        weight=evidence.weight,
    )


def _vector(little_endian: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(little_endian) // FLOAT32_BYTES}f", little_endian)


def _utc(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
