"""A rebuild in a process of its own, as the server sees it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from unbraid_core.errors import InvalidInput, Unavailable, UnbraidError
from unbraid_server.rebuild_news import Failure, News, Order, Progress, Rebuilt

__all__ = ["RebuildProcess"]

NEWS: TypeAdapter[News] = TypeAdapter(News)


class RebuildProcess:
    """Rebuilds a release while the context lasts; what is not finished at its end, is stopped.

    Args:
        order: what to rebuild.
    """

    def __init__(self, order: Order) -> None:
        self._order = order

    def __enter__(self) -> Self:
        # It ends with this process, since that holds the other end of its standard input.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "unbraid_server.rebuild", self._order.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._process.communicate()

    def stop(self) -> None:
        """End the rebuild, wherever it is; nothing of it becomes visible."""
        self._process.terminate()

    def news(self) -> Iterator[Progress | Rebuilt]:
        """How far it is; the last one is what it led to.

        Raises:
            UnbraidError: it failed, with an error of the class that the rebuild raised.
            Unavailable: it was stopped.
        """
        assert self._process.stdout
        for line in self._process.stdout:
            news = NEWS.validate_json(line)
            if isinstance(news, Failure):
                raise _error(news)
            yield news
        if self._process.wait() != 0:
            raise Unavailable(f"the rebuild was stopped (exit code {self._process.returncode}); try again")


def _error(failure: Failure) -> UnbraidError:
    metadata = dict(failure.metadata)
    if failure.reason == InvalidInput.reason:
        field = metadata.pop("field")
        return InvalidInput(field, failure.message.removeprefix(f"{field}: "), **metadata)
    kinds = {kind.reason: kind for kind in UnbraidError.__subclasses__()}
    return kinds.get(failure.reason, UnbraidError)(failure.message, **metadata)
