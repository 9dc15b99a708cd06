"""``unbraid status`` against a real server on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2

if TYPE_CHECKING:
    from tests.unit.client.conftest import ScriptedServer, Unbraid

NOON_S = 893_419_200


def test_status_prints_what_answers(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(
        status_pb2.GetStatusResponse(
            release=status_pb2.ReleaseStatus(
                release_id="r1",
                index_family="flat",
                index_recall=1,
                index_recall_at=200,
                ranking_profiles=[pb.RANKING_PROFILE_LEARNED, pb.RANKING_PROFILE_FORMULA],
            ),
            device=status_pb2.DeviceStatus(
                requested="auto",
                active="cpu",
                reason="no GPU",
                retrieval="index",
                retrieval_reason="it runs on the CPU",
            ),
            versions=[status_pb2.ComponentVersion(name="unbraid", version="0.1.0")],
            live_recall=status_pb2.RecallStatus(
                sample_count=300, merged_recall=0.97, merged_recall_p05=0.9, rebuild_reason="it fell"
            ),
        )
    )

    code, out, _ = unbraid("status")

    assert code == 0
    facts = {line[:14].strip(): line[14:].strip() for line in out.splitlines()}
    assert facts["release"] == "r1"
    assert facts["index"] == "flat, recall@200 1.0000"
    assert facts["live recall"] == "0.9700, 5th percentile 0.9000, of 300; rebuild due: it fell"
    assert facts["ranking"] == "learned, formula"
    assert facts["device"] == "cpu (asked for auto; no GPU)"
    assert facts["retrieval"] == "index (it runs on the CPU)"
    assert facts["versions"] == "unbraid 0.1.0"


def test_status_asks_every_worker(server: ScriptedServer, unbraid: Unbraid) -> None:
    for number in (2, 2, 1):
        server.answer(
            status_pb2.GetStatusResponse(
                worker_number=number,
                worker_count=2,
                release=status_pb2.ReleaseStatus(release_id=f"r{number}"),
                start_time=Timestamp(seconds=NOON_S + 60 * number),
            )
        )

    code, out, _ = unbraid("status")

    assert code == 0
    assert "r1 (worker 1), r2 (worker 2)" in out
    assert "2 of 2 answered" in out
    head, *rows = out.splitlines()[-3:]
    assert head.split() == ["worker", "ready", "since", "answered", "live", "recall"]
    assert [row.split()[:4] for row in rows] == [
        ["1", "1998-04-24", "12:01", "no"],
        ["2", "1998-04-24", "12:02", "no"],
    ]
