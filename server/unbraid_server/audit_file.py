"""The file of the audit log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import InvalidInput

__all__ = ["AuditFile"]

OWNER_ONLY = 0o600


class AuditFile:
    """JSON lines at the end of a file, which several processes may write.

    A line is one write to the end of the file, so lines of several processes do not mix. A file that was renamed or
    removed, as rotation does, is left, and a new one begun.

    Args:
        path: the file; only its owner may read it where it is new.
        log: gets the lines that cannot be written.

    Raises:
        InvalidInput: it cannot be opened.
    """

    def __init__(self, path: Path, log: FilteringBoundLogger) -> None:
        self._path, self._log = path, log
        self._lock = Lock()
        self._is_cut = False
        try:
            self._file = self._open()
        except OSError as error:
            raise InvalidInput("audit_log", f"{path}: {error.strerror}") from None

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line; where that fails, it goes to the log of the server with the reason."""
        content = json.dumps(line).encode() + b"\n"
        try:
            with self._lock:
                self._follow()
                if self._is_cut:
                    # Else this line would be lost with the one that has no end.
                    content = b"\n" + content
                self._is_cut = os.write(self._file, content) != len(content)
                problem = "the line was cut off" if self._is_cut else None
        except OSError as error:
            problem = error.strerror
        if problem is not None:
            self._log.error("audit log failed", error=f"{self._path}: {problem}", line=dict(line))

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)

    def _follow(self) -> None:
        """Begin a new file where the old one has another name by now."""
        try:
            if os.path.samestat(self._path.stat(), os.fstat(self._file)):
                return
        except FileNotFoundError:
            pass
        left, self._file, self._is_cut = self._file, self._open(), False
        os.close(left)
