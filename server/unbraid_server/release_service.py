"""ReleaseService: which releases there are, which one answers, and new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import grpc

from unbraid.v1 import release_pb2 as pb
from unbraid.v1.release_pb2_grpc import ReleaseServiceServicer
from unbraid_core.errors import Conflict, InvalidInput
from unbraid_core.release import ReleaseStore, ReleaseSummary
from unbraid_server.active_model import ActiveModel
from unbraid_server.rebuild_news import Order, Progress
from unbraid_server.rebuild_process import RebuildProcess
from unbraid_server.release_watcher import ReleaseWatcher
from unbraid_server.settings import ServerSettings
from unbraid_server.timestamps import timestamp
from unbraid_server.trial import try_release

__all__ = ["ReleaseService"]

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 500
DEFAULT_RECALL = 0.99


class ReleaseService(ReleaseServiceServicer):
    """Changes the folder of releases as the command line does, and has this server follow before a call returns.

    Args:
        releases: the folder.
        active: which model answers.
        watcher: makes another one answer.
        settings: of the server; it has to be local, unless callers are authenticated.
        now: epoch seconds.
    """

    def __init__(
        self,
        releases: ReleaseStore,
        active: ActiveModel,
        watcher: ReleaseWatcher,
        settings: ServerSettings,
        now: Callable[[], float],
    ) -> None:
        self._releases, self._active, self._watcher = releases, active, watcher
        self._settings, self._now = settings, now

    def ListReleases(self, request: pb.ListReleasesRequest, context: grpc.ServicerContext) -> pb.ListReleasesResponse:
        """List releases, newest first."""
        self._refuse_strangers()
        page_size = _page_size(request.page_size)
        listed = list(self._releases.list())
        start = _start(request.page_token, [summary.release_id for summary in listed])
        page = listed[start : start + page_size]
        return pb.ListReleasesResponse(
            releases=[_summary(summary) for summary in page],
            next_page_token=page[-1].release_id if start + page_size < len(listed) else "",
            release_id=self._active.current().release_id,
        )

    def ActivateRelease(
        self, request: pb.ActivateReleaseRequest, context: grpc.ServicerContext
    ) -> pb.ActivateReleaseResponse:
        """Activate a release and answer from it."""
        self._refuse_strangers()
        previous = self._releases.current_id()
        self._releases.activate(request.release_id, self._moment(), try_release)
        return pb.ActivateReleaseResponse(release_id=self._follow(), previous_release_id=previous or "")

    def RollbackRelease(
        self, request: pb.RollbackReleaseRequest, context: grpc.ServicerContext
    ) -> pb.RollbackReleaseResponse:
        """Activate the release before the one that the caller names."""
        self._refuse_strangers()
        if not request.active_release_id:
            raise InvalidInput("active_release_id", "is empty; name the release that is active now")
        self._releases.rollback(self._moment(), try_release, leave=request.active_release_id)
        return pb.RollbackReleaseResponse(release_id=self._follow(), previous_release_id=request.active_release_id)

    def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.RebuildIndexResponse]:
        """Rebuild in another process and pass its news on."""
        self._refuse_strangers()
        order = Order(
            releases=self._settings.releases,
            catalogue=self._settings.catalogue_file,
            public_key=self._settings.public_key,
            release_id=request.release_id or None,
            recall=_recall(request.recall),
            activate=request.activate,
        )
        with RebuildProcess(order) as process:
            # The end of a call, by its caller or with the server, ends the rebuild as well.
            context.add_callback(process.stop)
            for news in process.news():
                if isinstance(news, Progress):
                    progress = pb.RebuildProgress(step=news.step, done_count=news.done, total_count=news.total)
                    yield pb.RebuildIndexResponse(progress=progress)
                else:
                    is_active = request.activate and self._follow() == news.release_id
                    result = pb.RebuildResult(release_id=news.release_id, parent=news.parent, active=is_active)
                    yield pb.RebuildIndexResponse(result=result)

    def _refuse_strangers(self) -> None:
        if not self._settings.is_local and not self._settings.is_authenticated:
            raise Conflict(
                f"releases: {self._settings.host} can be reached by others, and calls are not authenticated; set "
                "access_file or jwt_key, use the command line, or a server on 127.0.0.1"
            )

    def _follow(self) -> str:
        """Answer from the active release, and return which one that is."""
        self._watcher.look(again=True)
        failure = self._watcher.failure
        if failure is not None:
            raise failure.error
        return self._active.current().release_id

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _page_size(value: int) -> int:
    if value < 0:
        raise InvalidInput("page_size", f"{value} is negative; send 0 for {DEFAULT_PAGE_SIZE}")
    return min(value or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def _recall(value: float) -> float:
    # Written so that what is not a number is refused too.
    if not 0.0 <= value <= 1.0:
        raise InvalidInput("recall", f"{value} is out of range; send a number up to 1, or 0 for {DEFAULT_RECALL}")
    return value or DEFAULT_RECALL


def _start(page_token: str, release_ids: list[str]) -> int:
    """Behind the last release of the page before."""
    if not page_token:
        return 0
    if page_token not in release_ids:
        raise InvalidInput("page_token", f"{page_token!r} is from a list that has changed since; start without one")
    return release_ids.index(page_token) + 1


def _summary(summary: ReleaseSummary) -> pb.ReleaseSummary:
    return pb.ReleaseSummary(
        release_id=summary.release_id,
        active=summary.active,
        created_time=None if summary.created_time is None else timestamp(summary.created_time.timestamp()),
        parent=summary.parent or "",
        size_bytes=summary.size_bytes,
        problem=summary.problem or "",
    )
