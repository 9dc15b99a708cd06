"""What the clients make of answers."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import (
    Basis,
    Evidence,
    Interest,
    InterestsResult,
    Profile,
    Recommendation,
    RecommendResult,
    ScoreTerms,
    SearchPlan,
    Source,
)

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

NOON_S = 893_419_200
NOON = datetime(1998, 4, 24, 12, tzinfo=UTC)

INTEREST_MESSAGE = pb.Interest(
    index=1,
    mass=3.5,
    share=0.75,
    half_life=Duration(seconds=86_400),
    evidence=[
        pb.Evidence(item_id="50", title="Star Wars", event_time=Timestamp(seconds=NOON_S), assignment=0.875, weight=0.5)
    ],
)
EVIDENCE = Evidence(item_id="50", title="Star Wars", time=NOON, assignment=0.875, weight=0.5)


def test_recommend_answer_becomes_values(server: ScriptedServer, call: Call) -> None:
    server.answer(
        pb.RecommendResponse(
            release_id="r1",
            recommendations=[
                pb.Recommendation(
                    item_id="172",
                    title="Empire",
                    categories=["Action", "Sci-Fi"],
                    score=2.25,
                    interest_index=0,
                    terms=pb.ScoreTerms(affinity=3.0, interest=-1.0, popularity=0.25),
                    sources=[
                        pb.CANDIDATE_SOURCE_INTERESTS,
                        pb.CANDIDATE_SOURCE_POPULAR,
                        pb.CANDIDATE_SOURCE_NEIGHBOURS,
                        pb.CANDIDATE_SOURCE_FACTORS,
                    ],
                    probability=0.125,
                ),
                pb.Recommendation(item_id="1", score=1.0),
            ],
            interests=[INTEREST_MESSAGE],
            basis=pb.ANSWER_BASIS_INTERESTS,
            profile=pb.RANKING_PROFILE_LEARNED,
            as_of_time=Timestamp(seconds=NOON_S, nanos=500_000_000),
            ignored_event_count=2,
            expected_precision=0.0625,
            search_plan=filter_pb2.SEARCH_PLAN_LISTS,
            matching_item_count=0,
            exhausted=True,
            degraded=True,
        )
    )

    assert call("recommend", user_id="7") == RecommendResult(
        release_id="r1",
        recommendations=(
            Recommendation(
                item_id="172",
                title="Empire",
                categories=("Action", "Sci-Fi"),
                score=2.25,
                interest_index=0,
                terms=ScoreTerms(affinity=3.0, interest=-1.0, popularity=0.25, frequency=0.0),
                sources=(Source.INTERESTS, Source.POPULAR, Source.NEIGHBOURS, Source.FACTORS),
                probability=0.125,
            ),
            Recommendation("1", "", (), 1.0, None, ScoreTerms(0.0, 0.0, 0.0, 0.0), (), None),
        ),
        interests=(Interest(1, 3.5, 0.75, timedelta(days=1), (EVIDENCE,), None),),
        basis=Basis.INTERESTS,
        profile=Profile.LEARNED,
        as_of=NOON + timedelta(milliseconds=500),
        ignored_event_count=2,
        expected_precision=0.0625,
        search_plan=SearchPlan.LISTS,
        matching_item_count=0,
        exhausted=True,
        degraded=True,
    )


def test_interests_answer_becomes_values_with_vectors(server: ScriptedServer, call: Call) -> None:
    message = pb.Interest()
    message.CopyFrom(INTEREST_MESSAGE)
    message.vector = struct.pack("<3f", 0.0, 0.5, -1.0)
    server.answer(
        pb.GetInterestsResponse(
            release_id="r1", space_id="s1", interests=[message], as_of_time=Timestamp(seconds=NOON_S)
        )
    )

    assert call("get_interests", user_id="7", include_vectors=True) == InterestsResult(
        release_id="r1",
        space_id="s1",
        interests=(Interest(1, 3.5, 0.75, timedelta(days=1), (EVIDENCE,), (0.0, 0.5, -1.0)),),
        as_of=NOON,
        ignored_event_count=0,
    )
    assert server.requests[0].include_vectors


def test_values_of_a_newer_contract_are_unknown_not_an_error(server: ScriptedServer, call: Call) -> None:
    # Enums are open on the wire: 99 stands for a source, a basis and a profile that a later contract adds.
    item = pb.Recommendation(item_id="1", sources=[99])  # type: ignore[list-item]
    response = pb.RecommendResponse(recommendations=[item], basis=99, profile=99, search_plan=99)  # type: ignore[arg-type]
    server.answer(response)

    result = call("recommend", user_id="7")

    assert result.basis is Basis.UNKNOWN
    assert result.profile is Profile.UNKNOWN
    assert result.search_plan is SearchPlan.UNKNOWN
    assert result.recommendations[0].sources == (Source.UNKNOWN,)
