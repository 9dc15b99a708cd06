"""Ranking profiles over a real socket: what is taken where a request does not say, and what cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.types import Profile, Query
from unbraid_server.model import Model

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW_S = 1_767_500_000
BOUGHT = {"k00": NOW_S - 86_400, "k05": NOW_S - 7_200, "c05": NOW_S - 3_600}
FORMULA, LEARNED = pb.RANKING_PROFILE_FORMULA, pb.RANKING_PROFILE_LEARNED


def request(profile: pb.RankingProfile.ValueType = pb.RANKING_PROFILE_UNSPECIFIED) -> pb.RecommendRequest:
    events = [pb.Event(item_id=item_id, event_time=Timestamp(seconds=time_s)) for item_id, time_s in BOUGHT.items()]
    return pb.RecommendRequest(
        history=pb.History(events=events),
        as_of_time=Timestamp(seconds=NOW_S),
        seen_items=pb.SEEN_ITEMS_INCLUDE,
        profile=profile,
    )


@pytest.fixture(scope="module")
def plain(channel_v1: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_v1)


@pytest.fixture(scope="module")
def learned(channel_learned: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_learned)


@pytest.mark.parametrize(("asked", "profile"), [(FORMULA, Profile.FORMULA), (LEARNED, Profile.LEARNED)])
def test_a_release_with_a_ranker_ranks_as_it_is_told(
    learned: RecommendationServiceStub, model_learned: Model, asked: pb.RankingProfile.ValueType, profile: Profile
) -> None:
    response = learned.Recommend(request(asked))
    known = model_learned.history(list(BOUGHT), list(BOUGHT.values()), [""] * len(BOUGHT), None)
    [ranking] = model_learned.pipeline.recommend(
        [Query(known.history, float(NOW_S), 20, include_seen=True, profile=profile)]
    )
    assert response.profile == asked
    assert response.basis == pb.ANSWER_BASIS_INTERESTS
    assert [each.item_id for each in response.recommendations] == model_learned.catalogue.ids(ranking.row_R)
    assert [each.score for each in response.recommendations] == ranking.score_R.tolist()


def test_without_a_wish_the_ranker_ranks_where_there_is_one(
    plain: RecommendationServiceStub, learned: RecommendationServiceStub
) -> None:
    assert learned.Recommend(request()) == learned.Recommend(request(LEARNED))
    assert plain.Recommend(request()) == plain.Recommend(request(FORMULA))
    assert plain.Recommend(request()).profile == FORMULA


def test_a_learned_answer_names_every_source_and_keeps_the_terms(learned: RecommendationServiceStub) -> None:
    best = learned.Recommend(request(LEARNED)).recommendations
    assert {source for each in best for source in each.sources} == set(pb.CandidateSource.values()) - {0}
    formula_of = {each.item_id: each for each in learned.Recommend(request(FORMULA)).recommendations}
    for each in best:
        if each.item_id in formula_of:
            assert each.terms == formula_of[each.item_id].terms


def test_who_has_no_history_is_ranked_by_the_formula(learned: RecommendationServiceStub) -> None:
    response = learned.Recommend(pb.RecommendRequest(user_id="nobody", profile=LEARNED))
    assert (response.basis, response.profile) == (pb.ANSWER_BASIS_POPULARITY, FORMULA)


def test_a_profile_that_the_release_has_not_is_refused(plain: RecommendationServiceStub, refused: Refused) -> None:
    refusal = refused(lambda: plain.Recommend(request(LEARNED)))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == ["profile"]
    assert "this release has no ranker" in refusal.message


def test_the_status_tells_the_profiles(channel_v1: grpc.Channel, channel_learned: grpc.Channel) -> None:
    def profiles(channel: grpc.Channel) -> list[int]:
        return list(StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest()).release.ranking_profiles)

    assert profiles(channel_v1) == [FORMULA]
    assert profiles(channel_learned) == [LEARNED, FORMULA]
