"""Structured logs on stderr: JSON lines for machines, readable lines on a terminal."""

from __future__ import annotations

import sys
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

__all__ = ["open_log"]


def open_log(level: str) -> FilteringBoundLogger:
    """A logger of its own, independent of every other in the process.

    Args:
        level: debug, info, warning or error; what is below costs next to nothing.
    """
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
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
