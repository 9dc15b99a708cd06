"""What the clients send and what they make of an answer."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid.v1 import filter_pb2, status_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import (
    ActivationError,
    Basis,
    CacheStatus,
    CallCount,
    CatalogueStatus,
    DeviceStatus,
    Distribution,
    Event,
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
    SecurityStatus,
    ServerStatus,
    ServingStatus,
    Source,
    TimeSpent,
    UnbraidClient,
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


def test_status_answer_becomes_values(server: ScriptedServer, call: Call) -> None:
    server.answer(
        status_pb2.GetStatusResponse(
            release=status_pb2.ReleaseStatus(
                release_id="r1",
                space_id="s1",
                created_time=Timestamp(seconds=NOON_S),
                item_count=1682,
                interest_count=4,
                dimension=64,
                max_history=50,
                index_family="flat",
                index_recall=1.0,
                index_recall_at=200,
                ranking_profiles=[pb.RANKING_PROFILE_LEARNED, pb.RANKING_PROFILE_FORMULA],
            ),
            device=status_pb2.DeviceStatus(
                requested="auto",
                active="cpu",
                providers=["CPUExecutionProvider"],
                intra_op_thread_count=1,
                reason="no GPU",
                retrieval="index",
                retrieval_reason="on the CPU",
            ),
            versions=[status_pb2.ComponentVersion(name="unbraid", version="0.1.0")],
            start_time=Timestamp(seconds=NOON_S),
            user_count=943,
            max_concurrent_calls=64,
            last_activation_error=status_pb2.ActivationError(
                release_id="r2", reason="INTEGRITY", message="r2: damaged", error_time=Timestamp(seconds=NOON_S)
            ),
            catalogue=status_pb2.CatalogueStatus(
                changed_item_count=3,
                replaced_item_count=2,
                homeless_item_count=1,
                sequence=9,
                rebuild_reason="much changed",
            ),
            live_recall=status_pb2.RecallStatus(
                sample_count=300, merged_recall=0.97, merged_recall_p05=0.9, fill_rate=1.0, rebuild_reason="recall fell"
            ),
            serving=status_pb2.ServingStatus(
                process_id=7,
                calls=[status_pb2.CallCount(method="/m", code="OK", call_count=3)],
                durations_s=status_pb2.Distribution(bounds=[0.5, 1.0], counts=[2, 0, 1], total=4.5),
                steps=[status_pb2.TimeSpent(name="parse", run_count=3, total_s=0.25)],
                stages=[status_pb2.TimeSpent(name="encode", run_count=2, total_s=0.5)],
                batch_sizes=status_pb2.Distribution(bounds=[1.0], counts=[1, 1], total=3.0),
                degraded_answer_count=4,
                shed=[status_pb2.ShedCount(reason="deadline", call_count=1)],
                waiting_query_count=5,
                call_in_flight_count=6,
                cache=status_pb2.CacheStatus(
                    hit_count=1, miss_count=2, entry_count=2, size_bytes=4096, capacity_bytes=8192
                ),
            ),
            worker_number=2,
            worker_count=4,
            security=status_pb2.SecurityStatus(
                encrypted=True,
                authenticated=True,
                certificate_expire_time=Timestamp(seconds=NOON_S),
                refused_files=["access file"],
            ),
        )
    )

    assert call("get_status") == ServerStatus(
        release=ReleaseStatus("r1", "s1", NOON, 1682, 4, 64, 50, "flat", 1.0, 200, (Profile.LEARNED, Profile.FORMULA)),
        device=DeviceStatus("auto", "cpu", ("CPUExecutionProvider",), 1, "no GPU", "index", "on the CPU"),
        versions={"unbraid": "0.1.0"},
        start_time=NOON,
        user_count=943,
        max_concurrent_calls=64,
        last_activation_error=ActivationError("r2", "INTEGRITY", "r2: damaged", NOON),
        live_recall=RecallStatus(300, 0.97, 0.9, 1.0, "recall fell"),
        catalogue=CatalogueStatus(3, 2, 1, 9, "much changed"),
        serving=ServingStatus(
            process_id=7,
            calls=(CallCount("/m", "OK", 3),),
            durations_s=Distribution((0.5, 1.0), (2, 0, 1), 4.5),
            steps={"parse": TimeSpent(3, 0.25)},
            stages={"encode": TimeSpent(2, 0.5)},
            batch_sizes=Distribution((1.0,), (1, 1), 3.0),
            degraded_answer_count=4,
            shed={"deadline": 1},
            waiting_query_count=5,
            call_in_flight_count=6,
            cache=CacheStatus(1, 2, 2, 4096, 8192),
        ),
        worker_number=2,
        worker_count=4,
        security=SecurityStatus(
            encrypted=True, authenticated=True, certificate_expire_time=NOON, refused_files=("access file",)
        ),
    )


def test_quantiles_lie_where_the_buckets_say() -> None:
    durations = Distribution((1.0, 2.0, 4.0), (10, 0, 10, 0), 40.0)
    assert [durations.quantile(share) for share in (0.25, 0.5, 0.75, 1.0)] == [0.5, 1.0, 3.0, 4.0]
    assert (durations.count, durations.mean) == (20, 2.0)
    later = Distribution((1.0, 2.0, 4.0), (10, 4, 10, 4), 86.0).since(durations)
    assert (later.counts, later.total, later.quantile(0.5), later.quantile(0.99)) == ((0, 4, 0, 4), 46.0, 2.0, 4.0)
    nothing = durations.since(durations)
    assert (nothing.count, nothing.mean, nothing.quantile(0.5)) == (0, None, None)


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


def test_every_argument_of_recommend_reaches_the_server(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())

    call(
        "recommend",
        user_id="7",
        limit=5,
        as_of=NOON,
        include_seen=True,
        excluded_item_ids={"50"},
        profile=Profile.LEARNED,
        diversity=0.25,
        balance=0.5,
    )
    call("recommend", user_id="7")

    everything, defaults = server.requests
    assert everything == pb.RecommendRequest(
        user_id="7",
        limit=5,
        as_of_time=Timestamp(seconds=NOON_S),
        seen_items=pb.SEEN_ITEMS_INCLUDE,
        excluded_item_ids=["50"],
        profile=pb.RANKING_PROFILE_LEARNED,
        diversity=0.25,
        balance=0.5,
    )
    assert defaults == pb.RecommendRequest(user_id="7", limit=20, seen_items=pb.SEEN_ITEMS_EXCLUDE)


def test_a_history_can_mix_events_tuples_and_kinds_of_time(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.GetInterestsResponse())
    in_tokyo = NOON.astimezone(timezone(timedelta(hours=9)))

    call("get_interests", history=iter([Event("1", NOON, "view"), ("2", in_tokyo), ("3", NOON_S + 0.5, "buy")]))

    assert server.requests[0].history == pb.History(
        events=[
            pb.Event(item_id="1", event_time=Timestamp(seconds=NOON_S), action="view"),
            pb.Event(item_id="2", event_time=Timestamp(seconds=NOON_S)),
            pb.Event(item_id="3", event_time=Timestamp(seconds=NOON_S, nanos=500_000_000), action="buy"),
        ]
    )


def test_an_empty_history_is_a_history(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())

    call("recommend", history=[])

    assert server.requests[0].WhichOneof("subject") == "history"


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(time_s=st.floats(min_value=-2.2e9, max_value=4.2e9))
def test_epoch_seconds_survive_the_wire(server: ScriptedServer, time_s: float) -> None:
    server.answer(pb.RecommendResponse())
    with UnbraidClient(server.target) as client:
        client.recommend(history=[("1", time_s)])

    sent = server.requests[-1].history.events[0].event_time

    assert sent.seconds + sent.nanos / 1e9 == pytest.approx(time_s, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either user_id or history"),
        ({"user_id": "7", "history": []}, "either user_id or history"),
        ({"user_id": "7", "as_of": datetime(1998, 4, 24)}, "as_of: 1998-04-24T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"user_id": "7", "profile": Profile.UNKNOWN}, "cannot be asked for; use formula or learned"),
        ({"history": [("1", NOON), ("2", float("nan"))]}, r"history\[1\].time: nan is not a time"),
        ({"history": [("1", NOON_S * 1000)]}, r"history\[0\].time: 893419200000 is not a time in epoch seconds"),
    ],
)
def test_a_question_that_cannot_be_sent_is_a_value_error(
    server: ScriptedServer, call: Call, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("recommend", **arguments)
    assert server.requests == []


@pytest.mark.parametrize("credentials", [grpc.local_server_credentials()])
def test_a_channel_with_credentials(server: ScriptedServer) -> None:
    server.answer(pb.RecommendResponse(release_id="r1"))

    with UnbraidClient(server.target, credentials=grpc.local_channel_credentials()) as client:
        assert client.recommend(user_id="7").release_id == "r1"
