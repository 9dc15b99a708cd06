"""CatalogService: the items of the catalogue, changed and read. No rule of its own."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
import numpy as np

from unbraid.v1 import catalogue_pb2 as pb
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceServicer
from unbraid_core.item_change import ItemChange
from unbraid_server.active_model import ActiveModel
from unbraid_server.catalogue_requests import parse_ids, parse_list_items, parse_upsert_items
from unbraid_server.item_changes import upserts
from unbraid_server.item_messages import item_messages
from unbraid_server.page_token import token_after

__all__ = ["CatalogService"]

MAX_ANSWER_BYTES = 2 * 2**20
"""Of items. gRPC clients take messages of 4 MiB, unless they are told otherwise; ids of other items take at most .5."""


class CatalogService(CatalogServiceServicer):
    """Changes and reads the catalogue of the model that answers.

    Args:
        active: the model, which is changed together with the catalogue store.
    """

    def __init__(self, active: ActiveModel) -> None:
        self._active = active

    def UpsertItems(self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext) -> pb.UpsertItemsResponse:
        """Add or replace items; what another process stored just now counts as known."""
        sent = parse_upsert_items(request)
        before = self._active.follow()
        changes = upserts(before, sent, request.space_id)
        after = self._active.change(changes)
        added_count = sum(before.catalogue.row(change.item_id) < 0 for change in changes)
        return pb.UpsertItemsResponse(
            release_id=after.release_id, added_count=added_count, sequence=after.delta.sequence
        )

    def DeleteItems(self, request: pb.DeleteItemsRequest, context: grpc.ServicerContext) -> pb.DeleteItemsResponse:
        """Delete items; an unknown one is stored as deleted too, for a release that may have it."""
        item_ids = parse_ids(request.item_ids)
        before = self._active.follow()
        after = self._active.change([ItemChange(item_id, None) for item_id in item_ids])
        deleted_count = sum(before.catalogue.row(item_id) >= 0 for item_id in item_ids)
        return pb.DeleteItemsResponse(
            release_id=after.release_id, deleted_count=deleted_count, sequence=after.delta.sequence
        )

    def GetItems(self, request: pb.GetItemsRequest, context: grpc.ServicerContext) -> pb.GetItemsResponse:
        """Read items by id, as far as there is room."""
        item_ids = parse_ids(request.item_ids)
        model = self._active.current()
        row_N = model.catalogue.living_rows(item_ids)
        living = np.flatnonzero(row_N >= 0)
        items = _fitting(item_messages(model, row_N[living], with_vectors=request.include_vectors))
        end = living[len(items)] if len(items) < len(living) else len(item_ids)
        return pb.GetItemsResponse(
            release_id=model.release_id,
            space_id=model.space_id,
            items=items,
            missing_item_ids=[item_ids[position] for position in np.flatnonzero(row_N[:end] < 0)],
            remaining_item_ids=item_ids[end:],
        )

    def ListItems(self, request: pb.ListItemsRequest, context: grpc.ServicerContext) -> pb.ListItemsResponse:
        """Read a page of all items; one row more than it may hold tells whether there is a next page."""
        page = parse_list_items(request)
        model = self._active.current()
        rows = np.array(model.catalogue.page(page.after, page.size + 1), np.int64)
        items = _fitting(item_messages(model, rows[: page.size], with_vectors=request.include_vectors))
        return pb.ListItemsResponse(
            release_id=model.release_id,
            space_id=model.space_id,
            items=items,
            next_page_token=token_after(items[-1].item_id) if len(rows) > len(items) else "",
            item_count=len(model.catalogue),
        )


def _fitting(items: Iterable[pb.Item]) -> list[pb.Item]:
    """From the first on as many of the items as an answer may hold, the first in any case."""
    fitting: list[pb.Item] = []
    size_bytes = 0
    for item in items:
        size_bytes += item.ByteSize()
        if fitting and size_bytes > MAX_ANSWER_BYTES:
            break
        fitting.append(item)
    return fitting
