"""The one exception tree of unbraid.

UnbraidError
├── InvalidInput          the caller sent something wrong: names the field, the value and the fix
├── NotFound              a named thing (user, item, release) does not exist
├── Conflict              the thing exists, but its present state forbids the call
├── Unauthenticated       the caller did not prove who it is
├── PermissionDenied      the caller is known, and may not do this
├── Unavailable           cannot answer now, trying again later can help
├── Overloaded            more is asked than can be answered in time: says when to come back
├── CallerGone            nobody waits for the answer any more
├── IntegrityError        bytes on disk are not what the manifest says
├── IncompatibleError     intact, but of a format, space or shape this code does not accept
└── DeviceUnavailable     the demanded device cannot be had on this machine

Every class carries a stable ``reason`` (UPPER_SNAKE). The server maps each class to one gRPC code, the command line
prints the message as one line and exits with 2.
"""

from __future__ import annotations

__all__ = [
    "CallerGone",
    "Conflict",
    "DeviceUnavailable",
    "IncompatibleError",
    "IntegrityError",
    "InvalidInput",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "Unauthenticated",
    "Unavailable",
    "UnbraidError",
]


class UnbraidError(Exception):
    """Root of every error that unbraid raises on purpose.

    Args:
        message: one line for a person: what is wrong, with the value, and what to do.
        metadata: machine-readable facts, copied into google.rpc.ErrorInfo by the server.
    """

    reason = "UNBRAID_ERROR"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidInput(UnbraidError):
    """A value that the caller sent is wrong.

    Args:
        field: path of the field or option, as the caller knows it (``history.events[3].item_id``).
        problem: what is wrong with the value, and the fix.
    """

    reason = "INVALID_INPUT"

    def __init__(self, field: str, problem: str, **metadata: str) -> None:
        super().__init__(f"{field}: {problem}", field=field, **metadata)
        self.field = field
        self.problem = problem

    def within(self, path: str) -> InvalidInput:
        """The same where what the caller sent stands inside something else: ``path`` names its place there."""
        facts = {name: fact for name, fact in self.metadata.items() if name != "field"}
        return InvalidInput(f"{path}.{self.field}", self.problem, **facts)


class NotFound(UnbraidError):
    """A named thing does not exist."""

    reason = "NOT_FOUND"


class Conflict(UnbraidError):
    """The state of an existing thing forbids the call."""

    reason = "CONFLICT"


class Unauthenticated(UnbraidError):
    """The caller did not prove who it is; the message tells nothing that only a known caller may know."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(UnbraidError):
    """The caller is known, and its role does not allow the call."""

    reason = "PERMISSION_DENIED"


class Unavailable(UnbraidError):
    """No answer now; the same call can succeed later."""

    reason = "UNAVAILABLE"


class Overloaded(UnbraidError):
    """More is asked than can be answered in time.

    Args:
        message: what is too much.
        retry_after_s: when the same call makes sense again.
    """

    reason = "OVERLOADED"

    def __init__(self, message: str, retry_after_s: float, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class CallerGone(UnbraidError):
    """The caller has left, or its deadline has passed: there is nobody to answer."""

    reason = "CALLER_GONE"


class IntegrityError(UnbraidError):
    """Stored bytes differ from what the manifest or format promises."""

    reason = "INTEGRITY"


class IncompatibleError(UnbraidError):
    """An intact artefact whose format, space or shape this code does not accept."""

    reason = "INCOMPATIBLE"


class DeviceUnavailable(UnbraidError):
    """The demanded device cannot be had on this machine."""

    reason = "DEVICE_UNAVAILABLE"
