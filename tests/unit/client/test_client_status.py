"""What the clients make of the status of a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid_client import (
    ActivationError,
    CacheStatus,
    CallCount,
    CatalogueStatus,
    DeviceStatus,
    Distribution,
    Profile,
    RecallStatus,
    ReleaseStatus,
    SecurityStatus,
    ServerStatus,
    ServingStatus,
    TimeSpent,
)

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

NOON_S = 893_419_200
NOON = datetime(1998, 4, 24, 12, tzinfo=UTC)


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
