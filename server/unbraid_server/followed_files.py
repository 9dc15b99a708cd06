"""Small files that are read again when they change; the last good reading is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import InvalidInput

__all__ = ["FollowedFiles", "read_setting_file"]

T = TypeVar("T")
Stamp = tuple[int, int, int] | None


class FollowedFiles(Generic[T]):
    """What some files that belong together say now.

    A change is noticed when somebody asks, at the price of one stat for each file. Files that are replaced one after
    the other do not fit together for a moment: then they are refused, and read again when the next one has changed.

    Args:
        name: what they hold, for the log.
        paths: the files.
        read: makes something of them.
        log: told about every change, taken over or refused.

    Raises:
        InvalidInput: the first reading failed.

    Attributes:
        name: what they hold.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], T], log: FilteringBoundLogger) -> None:
        self.name = name
        self._paths, self._read, self._log = paths, read, log
        self._reading = Lock()
        self._seen = self._stamps()
        self._value = read()
        self._is_refused = False

    def is_refused(self) -> bool:
        """Whether the files as they are now cannot be used, and what they said before counts."""
        self.current()
        return self._is_refused

    def current(self) -> T:
        """What the files say, or said when they were last good. Never raises, and never waits for another thread."""
        if self._stamps() != self._seen and self._reading.acquire(blocking=False):
            try:
                self._read_again()
            finally:
                self._reading.release()
        return self._value

    def _read_again(self) -> None:
        # Taken before the files are read, so that what changes meanwhile is read once more.
        self._seen = self._stamps()
        self._is_refused = True
        try:
            self._value = self._read()
        except InvalidInput as error:
            self._log.error(f"{self.name} refused", error=error.message, still="the last good one")
        except Exception:  # noqa: BLE001 - whatever it is: a server that answers goes on with what it has
            self._log.exception(f"{self.name} refused", still="the last good one")
        else:
            self._is_refused = False
            self._log.info(f"{self.name} taken over")

    def _stamps(self) -> list[Stamp]:
        return [_stamp(path) for path in self._paths]


def read_setting_file(setting: str, path: Path) -> bytes:
    """The bytes of a file that a setting names.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(setting, f"{path}: {error.strerror}") from None


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
