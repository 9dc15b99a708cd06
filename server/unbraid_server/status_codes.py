"""The one function from errors to gRPC status codes."""

from __future__ import annotations

from grpc import StatusCode

from unbraid_core.errors import (
    CallerGone,
    Conflict,
    DeviceUnavailable,
    IncompatibleError,
    IntegrityError,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    UnbraidError,
)

__all__ = ["STATUS_CODES", "status_code"]

STATUS_CODES: dict[type[UnbraidError], StatusCode] = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    Conflict: StatusCode.FAILED_PRECONDITION,
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    PermissionDenied: StatusCode.PERMISSION_DENIED,
    Unavailable: StatusCode.UNAVAILABLE,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    CallerGone: StatusCode.CANCELLED,
    IntegrityError: StatusCode.DATA_LOSS,
    IncompatibleError: StatusCode.FAILED_PRECONDITION,
    DeviceUnavailable: StatusCode.FAILED_PRECONDITION,
    UnbraidError: StatusCode.INTERNAL,
}


def status_code(error: UnbraidError) -> StatusCode:
    """The code of an error: that of its class, or of the nearest class above it."""
    return next(STATUS_CODES[kind] for kind in type(error).__mro__ if kind in STATUS_CODES)
