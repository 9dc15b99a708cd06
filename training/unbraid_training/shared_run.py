"""The folder of a run as all ranks see it: the first one reads and writes, the others are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from unbraid_training.ranks import from_first, is_first
from unbraid_training.run_folder import RunFolder, RunIdentity

__all__ = ["SharedRun"]

T = TypeVar("T")


class SharedRun:
    """A run folder that the first rank has opened. Every rank has to make the same calls, in the same order.

    Args:
        path: of the folder.
        identity: of the run.

    Raises:
        Conflict: as RunFolder.
    """

    def __init__(self, path: Path, identity: RunIdentity) -> None:
        self._folder = RunFolder(path, identity) if is_first() else None

    def ask(self, question: Callable[[RunFolder], T]) -> T:
        """The answer of the first rank, on all of them."""

        def answer() -> T:
            assert self._folder is not None, "only the first rank answers"
            return question(self._folder)

        return from_first(answer)

    def tell(self, change: Callable[[RunFolder], None]) -> None:
        """Change the folder; ranks behind the first do not wait for that."""
        if self._folder is not None:
            change(self._folder)

    def __enter__(self) -> SharedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.__exit__(kind, error, trace)
