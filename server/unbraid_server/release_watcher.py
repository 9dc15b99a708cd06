"""Taking over the release that was activated while a server runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread

from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import UnbraidError
from unbraid_core.release import ReleaseStore
from unbraid_server.active_model import ActiveModel
from unbraid_server.cores import roam

__all__ = ["ReleaseWatcher", "TakeoverFailure"]

POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class TakeoverFailure:
    """Why the release that is active in the folder does not answer.

    Attributes:
        release_id: which one; empty where CURRENT does not name any.
        error: what is wrong with it.
        time_s: when that was found out, epoch seconds.
    """

    release_id: str
    error: UnbraidError
    time_s: float


class ReleaseWatcher:
    """Looks four times a second whether another release was activated, and makes it the one that answers.

    A release that cannot be used is refused, and the last good one goes on answering. It is tried again when it is
    activated again, or when somebody wakes the watcher.

    Args:
        store: the releases.
        active: which model answers.
        log: what was taken over, and what was not and why.
        now: epoch seconds.
    """

    def __init__(
        self,
        store: ReleaseStore,
        active: ActiveModel,
        log: FilteringBoundLogger,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._active, self._log, self._now = store, active, log, now
        self._looking = Lock()
        self._seen: tuple[int, int] | None = None
        self._failure: TakeoverFailure | None = None
        self._woken, self._stopping = Event(), Event()
        self._thread = Thread(target=self._watch, name="release-watcher", daemon=True)

    @property
    def failure(self) -> TakeoverFailure | None:
        """Why the active release does not answer, None where it does."""
        return self._failure

    def start(self) -> None:
        """Watch in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once, and try again what was refused."""
        self._woken.set()

    def stop(self) -> None:
        """Watch no longer; a takeover in progress is finished."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, *, again: bool = False) -> None:
        """Take over the active release if it is another one than before.

        Args:
            again: try it even if it was refused and nobody activated anything since.
        """
        with self._looking:
            seen = self._store.current_stamp()
            if seen is None or (seen == self._seen and not again):
                return
            self._seen = seen
            self._failure = self._take_over()

    def _take_over(self) -> TakeoverFailure | None:
        release_id, before = "", self._active.current().release_id
        start_s = time.perf_counter()
        try:
            release_id = self._store.current_id() or ""
            if release_id == before:
                return None
            self._active.activate(self._store.open(release_id))
        except UnbraidError as error:
            self._log.error("release refused", release_id=release_id, still=before, error=error.message)
            return TakeoverFailure(release_id, error, self._now())
        except Exception:  # noqa: BLE001 - whatever it is: a server that answers goes on, and goes on watching
            self._log.exception("release refused", release_id=release_id, still=before)
            unexpected = UnbraidError(f"{release_id}: an unexpected error; the log of the server has the cause")
            return TakeoverFailure(release_id, unexpected, self._now())
        duration_ms = round((time.perf_counter() - start_s) * 1e3, 3)
        self._log.info("release taken over", release_id=release_id, before=before, duration_ms=duration_ms)
        return None

    def _watch(self) -> None:
        roam()
        while True:
            again = self._woken.wait(POLL_S)
            self._woken.clear()
            if self._stopping.is_set():
                return
            self.look(again=again)
