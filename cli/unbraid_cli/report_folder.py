"""Reports as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unbraid_cli.console import error_console

__all__ = ["write_reports"]


def write_reports(texts: Mapping[str, str], folder: Path) -> None:
    """Write texts under their names into the folder that the option --out names, and say so.

    Raises:
        InvalidInput: the folder or a file in it cannot be written.
    """
    from unbraid_core.errors import InvalidInput

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
            error_console.print(f"wrote {folder / name}", markup=False, soft_wrap=True)
    except OSError as error:
        raise InvalidInput("--out", f"cannot write {folder}: {error.strerror}; name another folder") from None
