"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc

from unbraid.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    recommendation_pb2_grpc,
    release_pb2,
    release_pb2_grpc,
    status_pb2,
    status_pb2_grpc,
)
from unbraid_client.arguments import filled, seconds, several
from unbraid_client.bearer import Token
from unbraid_client.channel import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, RELEASE_TIMEOUT_S, open_channel
from unbraid_client.errors import error_of
from unbraid_client.item_messages import ItemReading, delete_result, item_page, upsert_request, upsert_result
from unbraid_client.items import DeleteResult, Item, ItemPage, ItemsResult, UpsertResult
from unbraid_client.question_calls import QuestionCalls
from unbraid_client.release_messages import activation, rebuild_news, release_page
from unbraid_client.releases import Activation, RebuildNews, ReleasePage
from unbraid_client.results import server_status
from unbraid_client.tls import Tls
from unbraid_client.types import ServerStatus

__all__ = ["UnbraidClient"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class UnbraidClient(QuestionCalls):
    """Calls a server of unbraid over a connection of its own; safe to share between threads.

    Calls are retried on UNAVAILABLE and CANCELLED within their deadline, up to four attempts and within a retry budget.

    Args:
        target: ``host:port``, or any name that gRPC resolves (``dns:///host:port`` balances over all its addresses).
        tls: encrypts the calls; plain text where it is None.
        token: sent with every call, or what returns one. In plain text it goes to loopback addresses only.
        credentials: of the channel in place of ``tls``, for what that cannot say.
        timeout_s: deadline of a call, retries included, unless the call brings its own.

    Raises:
        ValueError: a token would travel to another machine in plain text, or there are ``tls`` and ``credentials``.
        TypeError: an argument is of another type than it has to be; so it is with those of all calls.
        OSError: a file for TLS cannot be read.
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
        self._channel = open_channel(target, credentials, tls, token)
        self._recommendation = recommendation_pb2_grpc.RecommendationServiceStub(self._channel)
        self._catalogue = catalogue_pb2_grpc.CatalogServiceStub(self._channel)
        self._release = release_pb2_grpc.ReleaseServiceStub(self._channel)
        self._status = status_pb2_grpc.StatusServiceStub(self._channel)

    def upsert_items(
        self, items: Iterable[Item], *, space_id: str = "", timeout_s: float | None = None
    ) -> UpsertResult:
        """Add items to the catalogue, or put them in place of what they were; all of them or none.

        Once the call has returned, the server that answered recommends them; servers beside it do within a second.

        Args:
            items: at most 1000, each id once. What an item says replaces all that it said before.
            space_id: of their vectors, as in ``ItemsResult``; needed where an item brings one.
            timeout_s: deadline of this call.

        Raises:
            ValueError: an attribute that cannot be sent.
            ClientError: the call failed and nothing was changed; InvalidRequest names the item, Conflict says that the
                index has to be built again first.
        """
        request = upsert_request(items, space_id)
        return upsert_result(self._call(self._catalogue.UpsertItems, request, timeout_s))

    def delete_items(self, item_ids: Iterable[str], *, timeout_s: float | None = None) -> DeleteResult:
        """Take items out of the catalogue; an unknown id changes nothing.

        Once the call has returned, the server that answered recommends none of them; servers beside it within a second.

        Args:
            item_ids: at most 1000.
            timeout_s: deadline of this call.

        Raises:
            ClientError: the call failed.
        """
        request = filled(catalogue_pb2.DeleteItemsRequest, "", item_ids=several(item_ids, "item_ids", "str"))
        return delete_result(self._call(self._catalogue.DeleteItems, request, timeout_s))

    def get_items(
        self, item_ids: Iterable[str], *, include_vectors: bool = False, timeout_s: float | None = None
    ) -> ItemsResult:
        """Items by their ids, at most 1000, in that order; large ones in several calls, of the same release.

        Args:
            item_ids: of the items.
            include_vectors: whether to send their vectors.
            timeout_s: deadline of each call.

        Raises:
            ClientError: the call failed.
        """
        reading = ItemReading(item_ids, include_vectors=include_vectors)
        while (request := reading.request()) is not None:
            reading.take(self._call(self._catalogue.GetItems, request, timeout_s))
        return reading.result()

    def list_items(
        self,
        *,
        page_size: int = 100,
        page_token: str = "",
        include_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> ItemPage:
        """A page of all items, in the order of their ids.

        Args:
            page_size: how many, at most 1000; a page of large items has fewer.
            page_token: ``next_page_token`` of the page before.
            include_vectors: whether to send their vectors.
            timeout_s: deadline of this call.

        Raises:
            ClientError: the call failed.
        """
        request = filled(
            catalogue_pb2.ListItemsRequest,
            "",
            page_size=page_size,
            page_token=page_token,
            include_vectors=include_vectors,
        )
        return item_page(self._call(self._catalogue.ListItems, request, timeout_s))

    def list_releases(
        self, *, page_size: int = 50, page_token: str = "", timeout_s: float | None = None
    ) -> ReleasePage:
        """A page of the releases in the folder of the server, newest first.

        Args:
            page_size: how many, at most 500.
            page_token: of the page before; empty for the newest releases.
            timeout_s: deadline of this call.

        Raises:
            ClientError: the call failed; Conflict where the server authenticates nobody and is no loopback one.
        """
        request = filled(release_pb2.ListReleasesRequest, "", page_size=page_size, page_token=page_token)
        return release_page(self._call(self._release.ListReleases, request, timeout_s))

    def activate_release(self, release_id: str, *, timeout_s: float = RELEASE_TIMEOUT_S) -> Activation:
        """Have the server check a release, make it the active one, and answer from it.

        Raises:
            ClientError: the call failed and the release before goes on answering; NotFound, Conflict or ServerError
                say what is wrong with the release.
        """
        request = filled(release_pb2.ActivateReleaseRequest, "", release_id=release_id)
        return activation(self._call(self._release.ActivateRelease, request, timeout_s))

    def rollback_release(self, active_release_id: str, *, timeout_s: float = RELEASE_TIMEOUT_S) -> Activation:
        """Have the server go back to the release that was active before the one that is to be left.

        Raises:
            ClientError: as ``activate_release``; Conflict where another release is active, or none was before.
        """
        request = filled(release_pb2.RollbackReleaseRequest, "", active_release_id=active_release_id)
        return activation(self._call(self._release.RollbackRelease, request, timeout_s))

    def rebuild_index(
        self,
        release_id: str | None = None,
        *,
        recall: float = 0.99,
        activate: bool = False,
        timeout_s: float = RELEASE_TIMEOUT_S,
    ) -> Iterator[RebuildNews]:
        """Have the index of a release built anew beside the server, with the changes of its catalogue.

        Args:
            release_id: which release; the active one by default.
            recall: share of the exact nearest items that the index has to find.
            activate: whether the server answers from the result.
            timeout_s: deadline of the whole rebuild; it is stopped then, and when the iteration is.

        Returns:
            How far it is; the last news is the ``RebuildResult``.

        Raises:
            ClientError: the call failed, on the way through the news; Conflict where another rebuild is under way.
        """
        request = filled(
            release_pb2.RebuildIndexRequest, "", release_id=release_id or "", recall=recall, activate=activate
        )
        call = self._release.RebuildIndex(request, timeout=seconds(timeout_s))
        try:
            yield from map(rebuild_news, call)
        except grpc.RpcError as error:
            raise error_of(error) from error
        finally:
            call.cancel()

    def get_status(self, *, timeout_s: float | None = None) -> ServerStatus:
        """What the server is made of.

        Raises:
            ClientError: the call failed; the subclass says how.
        """
        return server_status(self._call(self._status.GetStatus, status_pb2.GetStatusRequest(), timeout_s))

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout_s: float | None
    ) -> Response:
        try:
            return method(request, timeout=self._timeout_s if timeout_s is None else seconds(timeout_s))
        except grpc.RpcError as error:
            raise error_of(error) from error

    def close(self) -> None:
        """Close the connection; the client is not used afterwards."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Nothing to do: the channel connects with the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()
