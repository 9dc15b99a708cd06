"""Structured logs on stderr: JSON lines for machines, readable lines for people."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

__all__ = ["LogFormat", "open_log"]


class LogFormat(StrEnum):
    """How a line looks: for machines, for people, or for people where stderr is a terminal."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def open_log(level: str, log_format: LogFormat = LogFormat.AUTO) -> FilteringBoundLogger:
    """A logger of its own, independent of every other in the process.

    Args:
        level: debug, info, warning or error; what is below costs next to nothing.
        log_format: how a line looks.
    """
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    for_people = sys.stderr.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.CONSOLE
    if for_people:
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return cast(
        "FilteringBoundLogger",
        structlog.wrap_logger(
            structlog.WriteLogger(sys.stderr),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(level),
        ),
    )
