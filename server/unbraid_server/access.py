"""Lets a call pass, or refuses it, before anything is done for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from unbraid_core.errors import PermissionDenied
from unbraid_server.authentication import Authentication
from unbraid_server.call_facts import facts
from unbraid_server.roles import METHOD_ROLES, OPEN_METHODS
from unbraid_server.wrapped_handler import Behaviour, wrapped

__all__ = ["Access"]


class Access(grpc.ServerInterceptor):
    """Finds out who calls and whether that role may; everything but health is closed.

    It belongs inside the boundary of calls, which makes statuses of its errors and counts them.

    Args:
        authentication: finds out who calls.
    """

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Put the check in front of one method."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(OPEN_METHODS):
            return handler

        def checked(behaviour: Behaviour) -> Behaviour:
            def check_and_call(request: Any, context: grpc.ServicerContext) -> Any:
                self._admit(method, context)
                return behaviour(request, context)

            return check_and_call

        return wrapped(handler, checked)

    def _admit(self, method: str, context: grpc.ServicerContext) -> None:
        caller = facts(context).principal = self._authentication.identify(context)
        needed = METHOD_ROLES.get(method)
        if needed is None:
            raise PermissionDenied("no role may make this call")
        if caller.role < needed:
            raise PermissionDenied(
                f"this call needs the role {needed.name.lower()}, yours is {caller.role.name.lower()}"
            )
