"""The asyncio client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio

from unbraid.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    recommendation_pb2_grpc,
    release_pb2,
    release_pb2_grpc,
    status_pb2,
    status_pb2_grpc,
)
from unbraid_client.aio_question_calls import AsyncQuestionCalls
from unbraid_client.arguments import filled, seconds, several
from unbraid_client.bearer import Token
from unbraid_client.channel import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, RELEASE_TIMEOUT_S, open_aio_channel
from unbraid_client.errors import error_of
from unbraid_client.item_messages import ItemReading, delete_result, item_page, upsert_request, upsert_result
from unbraid_client.items import DeleteResult, Item, ItemPage, ItemsResult, UpsertResult
from unbraid_client.release_messages import activation, rebuild_news, release_page
from unbraid_client.releases import Activation, RebuildNews, ReleasePage
from unbraid_client.results import server_status
from unbraid_client.tls import Tls
from unbraid_client.types import ServerStatus

__all__ = ["AsyncUnbraidClient"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class AsyncUnbraidClient(AsyncQuestionCalls):
    """`UnbraidClient` for asyncio: the same arguments, answers, errors and retries, awaited.

    Make it inside the event loop that will use it.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._timeout_s = seconds(timeout_s)
        self._channel = open_aio_channel(target, credentials, tls, token)
        self._recommendation = recommendation_pb2_grpc.RecommendationServiceStub(self._channel)
        self._catalogue = catalogue_pb2_grpc.CatalogServiceStub(self._channel)
        self._release = release_pb2_grpc.ReleaseServiceStub(self._channel)
        self._status = status_pb2_grpc.StatusServiceStub(self._channel)

    async def upsert_items(
        self, items: Iterable[Item], *, space_id: str = "", timeout_s: float | None = None
    ) -> UpsertResult:
        """Add or replace items; see `UnbraidClient.upsert_items`."""
        request = upsert_request(items, space_id)
        return upsert_result(await self._call(self._catalogue.UpsertItems, request, timeout_s))

    async def delete_items(self, item_ids: Iterable[str], *, timeout_s: float | None = None) -> DeleteResult:
        """Take items away; see `UnbraidClient.delete_items`."""
        request = filled(catalogue_pb2.DeleteItemsRequest, "", item_ids=several(item_ids, "item_ids", "str"))
        return delete_result(await self._call(self._catalogue.DeleteItems, request, timeout_s))

    async def get_items(
        self, item_ids: Iterable[str], *, include_vectors: bool = False, timeout_s: float | None = None
    ) -> ItemsResult:
        """Items by their ids; see `UnbraidClient.get_items`."""
        reading = ItemReading(item_ids, include_vectors=include_vectors)
        while (request := reading.request()) is not None:
            reading.take(await self._call(self._catalogue.GetItems, request, timeout_s))
        return reading.result()

    async def list_items(
        self,
        *,
        page_size: int = 100,
        page_token: str = "",
        include_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> ItemPage:
        """A page of all items; see `UnbraidClient.list_items`."""
        request = filled(
            catalogue_pb2.ListItemsRequest,
            "",
            page_size=page_size,
            page_token=page_token,
            include_vectors=include_vectors,
        )
        return item_page(await self._call(self._catalogue.ListItems, request, timeout_s))

    async def list_releases(
        self, *, page_size: int = 50, page_token: str = "", timeout_s: float | None = None
    ) -> ReleasePage:
        """A page of releases; see `UnbraidClient.list_releases`."""
        request = filled(release_pb2.ListReleasesRequest, "", page_size=page_size, page_token=page_token)
        return release_page(await self._call(self._release.ListReleases, request, timeout_s))

    async def activate_release(self, release_id: str, *, timeout_s: float = RELEASE_TIMEOUT_S) -> Activation:
        """Answer from a release; see `UnbraidClient.activate_release`."""
        request = filled(release_pb2.ActivateReleaseRequest, "", release_id=release_id)
        response = await self._call(self._release.ActivateRelease, request, timeout_s)
        return activation(response)

    async def rollback_release(self, active_release_id: str, *, timeout_s: float = RELEASE_TIMEOUT_S) -> Activation:
        """Go back one release; see `UnbraidClient.rollback_release`."""
        request = filled(release_pb2.RollbackReleaseRequest, "", active_release_id=active_release_id)
        response = await self._call(self._release.RollbackRelease, request, timeout_s)
        return activation(response)

    async def rebuild_index(
        self,
        release_id: str | None = None,
        *,
        recall: float = 0.99,
        activate: bool = False,
        timeout_s: float = RELEASE_TIMEOUT_S,
    ) -> AsyncIterator[RebuildNews]:
        """Build the index of a release anew; see `UnbraidClient.rebuild_index`."""
        request = filled(
            release_pb2.RebuildIndexRequest, "", release_id=release_id or "", recall=recall, activate=activate
        )
        call = self._release.RebuildIndex(request, timeout=seconds(timeout_s))
        try:
            async for response in call:
                yield rebuild_news(response)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        finally:
            call.cancel()

    async def get_status(self, *, timeout_s: float | None = None) -> ServerStatus:
        """What the server is made of; see `UnbraidClient.get_status`."""
        return server_status(await self._call(self._status.GetStatus, status_pb2.GetStatusRequest(), timeout_s))

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout_s: float | None
    ) -> Response:
        try:
            return await method(request, timeout=self._timeout_s if timeout_s is None else seconds(timeout_s))
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error

    async def close(self) -> None:
        """Close the connection; the client is not used afterwards."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Nothing to do: the channel connects with the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()
