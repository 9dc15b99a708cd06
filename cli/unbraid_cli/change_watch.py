"""Rebuilding whenever the live catalogue has changed enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid_cli.console import error_console

if TYPE_CHECKING:
    from unbraid_core.release import ReleaseStore

__all__ = ["watch"]

POLL_S = 1.0
# After a rebuild that failed: the reason rarely goes away by itself, but a disk can get room again.
RETRY_S = 60.0


def watch(store: ReleaseStore, catalogue: Path, change_count: int, rebuild: Callable[[], None]) -> None:
    """Rebuild until this process is interrupted; a rebuild that fails is tried again after a minute.

    Args:
        store: with an active release.
        catalogue: the file with the changes; it may come up later.
        change_count: how many changes since the active release make a rebuild due.
        rebuild: builds a release that has folded the changes in, and activates it.

    Raises:
        NotFound: no release is active.
        IntegrityError, IncompatibleError: the manifest of the active release, or the file, cannot be read.
    """
    from unbraid_core.errors import UnbraidError
    from unbraid_server.sqlite_catalogue import stored_changes

    while True:
        with stored_changes(catalogue) as changes:
            last = changes.last_sequence() if changes else 0
        if last - store.manifest().catalogue_sequence < change_count:
            time.sleep(POLL_S)
            continue
        try:
            rebuild()
        except UnbraidError as error:
            error_console.print(f"error: {error.message}", style="red", markup=False, soft_wrap=True)
            time.sleep(RETRY_S)
