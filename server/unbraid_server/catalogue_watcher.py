"""Seeing the changes of the catalogue that other processes store."""

from __future__ import annotations

from threading import Event, Thread

from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import UnbraidError
from unbraid_server.active_model import ActiveModel

__all__ = ["CatalogueWatcher"]

POLL_S = 0.15


class CatalogueWatcher:
    """Looks about seven times a second whether the catalogue store has changes that the model does not have.

    Args:
        active: the model that follows the store.
        log: why it cannot, once for each reason.
    """

    def __init__(self, active: ActiveModel, log: FilteringBoundLogger) -> None:
        self._active, self._log = active, log
        self._problem = ""
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="catalogue-watcher", daemon=True)

    def start(self) -> None:
        """Watch in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            problem = ""
            try:
                self._active.follow()
            except UnbraidError as error:
                problem = error.message
            except Exception as error:  # noqa: BLE001 - whatever it is: a server that answers goes on, and goes on watching
                problem = f"{type(error).__name__}: {error}"
            if problem and problem != self._problem:
                self._log.error("catalogue not followed", error=problem)
            self._problem = problem
