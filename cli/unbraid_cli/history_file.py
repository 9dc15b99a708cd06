"""A history in a CSV file, for asking a server about somebody it does not know."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from unbraid_client import Event
from unbraid_core.errors import InvalidInput

__all__ = ["parse_time", "read_history"]


def parse_time(text: str, field: str) -> datetime:
    """A time as epoch seconds or ISO 8601; without a zone it is UTC.

    Raises:
        InvalidInput: neither of the two; ``field`` names the option or the place in a file.
    """
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            field, f"{text!r} is no time; write epoch seconds or ISO 8601, such as 2011-10-18T07:30:00Z"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_history(path: Path) -> list[Event]:
    """The events of a CSV file with the columns item_id, timestamp and, where it matters, action.

    Raises:
        InvalidInput: the file cannot be read, a column is missing, or a time is none; the message names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"item_id", "timestamp"} - set(rows.fieldnames or ())
            if missing:
                raise InvalidInput(
                    "--history", f"{path} lacks the column {min(missing)!r}; it needs item_id and timestamp"
                )
            return [
                Event(
                    item_id=row["item_id"],
                    time=parse_time(row["timestamp"] or "", f"{path}:{_first_line(rows, row)}: timestamp"),
                    action=row.get("action") or "",
                )
                for row in rows
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("--history", f"{path} cannot be read: {error}") from None


def _first_line(rows: csv.DictReader[str], row: dict[str, str]) -> int:
    """Where the row that was read last begins; quoted values can hold line breaks."""
    return rows.line_num - sum(str(value).count("\n") for value in row.values())
