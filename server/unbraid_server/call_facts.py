"""What the layers around a call know of it: its id, and who calls.

gRPC hands one context through all of them, on whatever thread each part of a stream runs; so that is what the facts are
kept under, and they go when it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import grpc

from unbraid_server.roles import Principal

__all__ = ["CallFacts", "client_name", "facts", "principal"]


@dataclass(slots=True)
class CallFacts:
    """Facts of one call.

    Attributes:
        request_id: names it in the log; empty before the boundary of calls.
        principal: who calls; None where calls are not authenticated, and until this one is.
    """

    request_id: str = ""
    principal: Principal | None = None


_FACTS: WeakKeyDictionary[grpc.ServicerContext, CallFacts] = WeakKeyDictionary()


def facts(context: grpc.ServicerContext) -> CallFacts:
    """The facts of a call, to read and to complete."""
    return _FACTS.setdefault(context, CallFacts())


def principal(context: grpc.ServicerContext) -> Principal | None:
    """Who calls; None where calls are not authenticated."""
    return facts(context).principal


def client_name(context: grpc.ServicerContext) -> str:
    """Who shares the server fairly with others: who was authenticated, else the host, with all of its connections."""
    caller = principal(context)
    return context.peer().rpartition(":")[0] if caller is None else caller.name
