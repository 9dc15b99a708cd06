"""Methods of the contract as a generator calls them: bytes in; the name of a status code, and bytes, out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_load.tally import OK

__all__ = ["Ended", "Method", "StreamMethod", "UnaryMethod"]

# The name of a status code, and the answer, empty where there is none.
Ended = tuple[str, bytes]
Method = Callable[[bytes, float], Awaitable[Ended]]


class UnaryMethod:
    """A call for every request.

    Args:
        call: a method of the generated stub that takes and returns bytes.
    """

    def __init__(self, call: Callable[..., Awaitable[bytes]]) -> None:
        self._call = call

    async def __call__(self, request: bytes, timeout_s: float) -> Ended:
        """Send a request, and wait for what becomes of it."""
        try:
            return OK, await self._call(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return error.code().name, b""


class StreamMethod:
    """Requests on one stream, whose outcomes come in their order. After its end, the next request opens another.

    Messages are read to count their outcomes, so this costs the generator more than the others.

    Args:
        open_stream: a method of the generated stub that takes and returns bytes.
    """

    def __init__(self, open_stream: Callable[..., Any]) -> None:
        self._open_stream = open_stream
        self._stream: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._waiting: deque[asyncio.Future[Ended]] = deque()

    async def __call__(self, request: bytes, timeout_s: float) -> Ended:
        """Send a request, and wait for its outcome."""
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                async with self._writing:
                    if self._stream is None:
                        self._stream = self._open_stream()
                        self._reader = asyncio.create_task(self._read(self._stream))
                    self._waiting.append(ended)
                    await self._stream.write(request)
                return await ended
        except TimeoutError:
            return grpc.StatusCode.DEADLINE_EXCEEDED.name, b""
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The stream has ended, and its reader tells all that wait for it.
            return await ended

    async def _read(self, stream: Any) -> None:
        try:
            async for message in stream:
                for outcome in pb.StreamRecommendResponse.FromString(message).outcomes:
                    self._tell(_code_of(outcome), message)
        except grpc.aio.AioRpcError:
            pass
        code = (await stream.code()).name
        self._stream = None
        while self._waiting:
            self._tell(code, b"")

    def _tell(self, code: str, answer: bytes) -> None:
        ended = self._waiting.popleft()
        # Whoever had no more time has gone; the outcome comes nevertheless, in its turn.
        if not ended.done():
            ended.set_result((code, answer))


def _code_of(outcome: pb.StreamedOutcome) -> str:
    if outcome.WhichOneof("outcome") == "response":
        return OK
    return next((code.name for code in grpc.StatusCode if code.value[0] == outcome.error.code), "UNKNOWN")
