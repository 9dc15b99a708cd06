"""Messages about releases to Python values, shared by both clients."""

from __future__ import annotations

from datetime import UTC

from unbraid.v1 import release_pb2 as pb
from unbraid_client.releases import (
    Activation,
    RebuildNews,
    RebuildProgress,
    RebuildResult,
    ReleasePage,
    ReleaseSummary,
)

__all__ = ["activation", "rebuild_news", "release_page"]


def release_page(response: pb.ListReleasesResponse) -> ReleasePage:
    """The answer of a ListReleases call."""
    return ReleasePage(response.release_id, tuple(map(_summary, response.releases)), response.next_page_token)


def activation(response: pb.ActivateReleaseResponse | pb.RollbackReleaseResponse) -> Activation:
    """The answer of an ActivateRelease or RollbackRelease call."""
    return Activation(response.release_id, response.previous_release_id or None)


def rebuild_news(response: pb.RebuildIndexResponse) -> RebuildNews:
    """One answer of the stream of a RebuildIndex call."""
    if response.HasField("result"):
        return RebuildResult(response.result.release_id, response.result.parent, response.result.active)
    progress = response.progress
    return RebuildProgress(progress.step, progress.done_count, progress.total_count)


def _summary(summary: pb.ReleaseSummary) -> ReleaseSummary:
    return ReleaseSummary(
        release_id=summary.release_id,
        active=summary.active,
        created_time=summary.created_time.ToDatetime(tzinfo=UTC) if summary.HasField("created_time") else None,
        parent=summary.parent or None,
        size_bytes=summary.size_bytes,
        problem=summary.problem or None,
    )
