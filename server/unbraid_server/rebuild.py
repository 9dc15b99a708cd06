"""``python -m unbraid_server.rebuild ORDER`` rebuilds a release beside a server, which reads the news as JSON lines.

It runs at a lower priority than the server, and ends with it.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from unbraid_core.errors import UnbraidError
from unbraid_core.release import ReleaseStore
from unbraid_index.release_build import rebuild_release
from unbraid_server.rebuild_news import Failure, News, Order, Progress, Rebuilt
from unbraid_server.signing import signature_check
from unbraid_server.sqlite_catalogue import stored_changes
from unbraid_server.tether import end_with_parent
from unbraid_server.trial import try_release

__all__ = ["main"]

NICE = 10
NEWS_EVERY_S = 0.2


class _Reporter:
    """Writes how far the work is, but not more often than somebody can read."""

    def __init__(self) -> None:
        self._step = ""
        self._told_s = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if step != self._step or done == total or now_s - self._told_s >= NEWS_EVERY_S:
            self._step, self._told_s = step, now_s
            _tell(Progress(step=step, done=done, total=total))


def main() -> int:
    """Carry out the order of the command line; 2 where it could not be done."""
    end_with_parent()
    os.nice(NICE)
    order = Order.model_validate_json(sys.argv[1])
    try:
        rebuilt = _rebuild(order)
    except UnbraidError as error:
        _tell(Failure(reason=error.reason, message=error.message, metadata=error.metadata))
        return 2
    _tell(rebuilt)
    return 0


def _rebuild(order: Order) -> Rebuilt:
    store = ReleaseStore(order.releases, signature_check(order.public_key))
    with stored_changes(order.catalogue) as changes:
        indexed = rebuild_release(
            store,
            order.release_id,
            None,
            datetime.now(UTC),
            order.recall,
            _Reporter(),
            probe=try_release,
            live_catalogue=changes,
        )
    manifest = indexed.manifest
    if order.activate:
        store.activate(manifest.release_id, datetime.now(UTC))
    assert manifest.parent is not None
    return Rebuilt(release_id=manifest.release_id, parent=manifest.parent)


def _tell(news: News) -> None:
    sys.stdout.write(f"{news.model_dump_json()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
