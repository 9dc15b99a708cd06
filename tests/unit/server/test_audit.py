"""The audit log: what changes, and what was to be changed, is written down with who did it; and nothing secret is."""

from __future__ import annotations

import json
import multiprocessing
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from unbraid.v1 import catalogue_pb2, recommendation_pb2, release_pb2
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid_core.errors import InvalidInput
from unbraid_server.access_file import add_grant, issue_token
from unbraid_server.audit_file import AuditFile
from unbraid_server.logs import open_log

if TYPE_CHECKING:
    from tests.unit.conftest import FilesLimitedTo
    from tests.unit.server.conftest import Listening, Refused

TIMEOUT_S = 20.0


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def writer(tmp_path: Path) -> str:
    """A token that may write, in an access file of the folder."""
    token, entry = issue_token("importer", "write", None)
    add_grant(tmp_path / "access.toml", entry)
    return token


@pytest.fixture
def channel(listening: Listening, writer: str, tmp_path: Path) -> Iterator[grpc.Channel]:
    """To a server that audits into a file of the folder."""
    assert writer
    port = listening(access_file=tmp_path / "access.toml", audit_log=tmp_path / "audit.jsonl")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


def test_every_attempt_to_change_something_is_a_line(
    channel: grpc.Channel, writer: str, tmp_path: Path, refused: Refused
) -> None:
    metadata = (("authorization", f"Bearer {writer}"),)
    catalogue, releases = CatalogServiceStub(channel), ReleaseServiceStub(channel)
    before = datetime.now(UTC)
    ids = [f"never-there-{position}" for position in range(12)]
    catalogue.DeleteItems(catalogue_pb2.DeleteItemsRequest(item_ids=ids), metadata=metadata)
    wrong = refused(lambda: catalogue.DeleteItems(catalogue_pb2.DeleteItemsRequest(item_ids=[""]), metadata=metadata))
    stranger = refused(
        lambda: catalogue.UpsertItems(
            catalogue_pb2.UpsertItemsRequest(items=[catalogue_pb2.Item(item_id="x" * 1000)]),
            metadata=(("authorization", "Bearer wrong"),),
        )
    )
    activate = release_pb2.ActivateReleaseRequest(release_id="r")
    denied = refused(lambda: releases.ActivateRelease(activate, metadata=metadata))
    rebuild = release_pb2.RebuildIndexRequest(release_id="r")
    denied_stream = refused(lambda: list(releases.RebuildIndex(rebuild, metadata=metadata)))
    catalogue.GetItems(catalogue_pb2.GetItemsRequest(item_ids=["k00"]), metadata=metadata)

    written = lines(tmp_path / "audit.jsonl")
    assert [(line["method"].rpartition("/")[2], line["outcome"], line["caller"]) for line in written] == [
        ("DeleteItems", "OK", "token:importer"),
        ("DeleteItems", "INVALID_ARGUMENT", "token:importer"),
        ("UpsertItems", "UNAUTHENTICATED", None),
        ("ActivateRelease", "PERMISSION_DENIED", "token:importer"),
        ("RebuildIndex", "PERMISSION_DENIED", "token:importer"),
    ]
    for line, refusal in zip(written[1:], (wrong, stranger, denied, denied_stream), strict=True):
        assert line["request_id"] == refusal.info.metadata["request_id"] != ""
    assert (written[0]["target_count"], written[0]["targets"]) == (12, ids[:10])
    assert (written[2]["target_count"], len(written[2]["targets"][0])) == (1, 200)
    assert all(before.timestamp() - 1 < datetime.fromisoformat(line["time"]).timestamp() for line in written)
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in written)
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


def test_a_stream_that_fails_is_written_down(listening: Listening, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    port = listening(audit_log=path, releases=tmp_path / "empty")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = ReleaseServiceStub(channel).RebuildIndex(release_pb2.RebuildIndexRequest(release_id="gone"))
        assert call.code() is grpc.StatusCode.NOT_FOUND
    [line] = lines(path)
    assert (line["outcome"], line["targets"], line["caller"]) == ("NOT_FOUND", ["gone"], None)


def test_without_a_file_the_lines_go_to_the_log(listening: Listening, capsys: pytest.CaptureFixture[str]) -> None:
    port = listening(level="info")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        CatalogServiceStub(channel).DeleteItems(catalogue_pb2.DeleteItemsRequest(item_ids=["never-there"]))
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["targets"], line["outcome"]) == ("audit", ["never-there"], "OK")


def test_a_file_that_was_renamed_or_removed_is_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditFile(path, open_log("error"))
    audit.write({"n": 1})
    path.rename(tmp_path / "audit.1")
    audit.write({"n": 2})
    path.unlink()
    audit.write({"n": 3})
    assert lines(tmp_path / "audit.1") == [{"n": 1}]
    assert lines(path) == [{"n": 3}]
    path.unlink()
    path.mkdir()
    audit.write({"n": 4})
    logged = json.loads(capsys.readouterr().err)
    assert (logged["event"], logged["line"]) == ("audit log failed", {"n": 4})
    path.rmdir()
    audit.write({"n": 5})
    assert lines(path) == [{"n": 5}]
    audit.close()


def test_a_line_that_a_full_disk_cut_off_takes_no_other_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files_limited_to: FilesLimitedTo
) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl", open_log("error"))
    with files_limited_to(10):
        for number in range(2):
            audit.write({"number": number})
    assert capsys.readouterr().err.count("audit log failed") == 2
    audit.write({"number": 2})
    audit.close()
    assert (tmp_path / "audit.jsonl").read_text().splitlines() == ['{"number":', '{"number": 2}']


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"audit_log: .*No such file"):
        AuditFile(tmp_path / "nowhere" / "audit.jsonl", open_log("error"))


def write_many(path: Path, writer: int) -> None:
    audit = AuditFile(path, open_log("error"))
    for number in range(200):
        audit.write({"writer": writer, "number": number, "padding": "x" * 300})
    audit.close()


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(path, writer)) for writer in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(3 * TIMEOUT_S)
    assert sorted((line["writer"], line["number"]) for line in lines(path)) == [
        (writer, number) for writer in range(2) for number in range(200)
    ]


def test_no_log_has_a_secret_or_anything_of_a_history(
    listening: Listening, writer: str, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    port = listening(level="debug", access_file=tmp_path / "access.toml", audit_log=audit)
    event = recommendation_pb2.Event(item_id="swordfish-item", action="swordfish-action")
    incomplete = recommendation_pb2.History(events=[event])
    event.event_time.GetCurrentTime()
    complete = recommendation_pb2.History(events=[event])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        recommend = RecommendationServiceStub(channel).Recommend
        codes = [
            recommend.future(
                recommendation_pb2.RecommendRequest(history=history),
                metadata=(("authorization", f"Bearer {token}"), ("x-password", "swordfish-header")),
                timeout=TIMEOUT_S,
            ).code()
            for token in (writer, "swordfish-token", "swordfish.signed.token")
            for history in (complete, incomplete)
        ]
        assert codes == [grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, *[grpc.StatusCode.UNAUTHENTICATED] * 4]
        (tmp_path / "access.toml").write_text(f"[[token]]\nname = 'n'\nrole = 'read'\nsha256 = '{writer}'\n")
        refused(lambda: recommend(recommendation_pb2.RecommendRequest(history=complete)))
    out, err = capsys.readouterr()
    logged = out + err + audit.read_text()
    assert '"code": "OK"' in logged
    assert '"code": "INVALID_ARGUMENT"' in logged
    assert "access file refused" in logged
    assert "swordfish" not in logged
    assert writer not in logged
    assert writer.removeprefix("unbraid_") not in logged
