"""What may become of the items of a model: changes of the catalogue, checked before they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.live.item_table import FIXED, fits, kind_name, table_of
from unbraid_core.live.limits import check_room
from unbraid_core.types import FloatArray
from unbraid_server.catalogue_requests import SentItem
from unbraid_server.model import Model

__all__ = ["upserts"]


def upserts(model: Model, sent: Sequence[SentItem], space_id: str) -> list[ItemChange]:
    """The changes that add items or put them in place of what they were.

    Args:
        model: with all changes that are stored so far.
        sent: the items.
        space_id: of their vectors.

    Raises:
        InvalidInput: a vector, its space or an attribute does not fit the release, or a new item has no vector.
        Conflict: there is no room for so many further items.
        IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
    """
    check_room(model.delta, sum(each.item.item_id not in model.delta.row_of for each in sent))
    for position, each in enumerate(sent):
        _check_attributes(model, each.item, f"items[{position}]")
    vectors = [_vector(model, each, space_id, position) for position, each in enumerate(sent)]
    for position, vector in _from_text(model, sent):
        vectors[position] = vector
    return [ItemChange(each.item.item_id, each.item, vector) for each, vector in zip(sent, vectors, strict=True)]


def _check_attributes(model: Model, item: Item, path: str) -> None:
    schema = model.delta.table.schema
    for name, value in item.attributes.items():
        field = f"{path}.attributes[{name!r}]"
        if name not in schema.names or name in FIXED:
            known = ", ".join(repr(each) for each in schema.names if each not in FIXED) or "none"
            raise InvalidInput(field, f"the catalogue has no such attribute; it has {known}")
        kind = schema.field(name).type
        if not fits(value, kind):
            raise InvalidInput(field, f"{value!r} does not fit; in this catalogue it is {kind_name(kind)}")


def _vector(model: Model, sent: SentItem, space_id: str, position: int) -> ItemVector | None:
    """The vector that came along, at unit length."""
    if not sent.vector:
        return None
    if space_id != model.space_id:
        raise InvalidInput(
            "space_id", f"{space_id!r} is not the space of release {model.release_id}, which is {model.space_id!r}"
        )
    field = f"items[{position}].vector"
    dimension = model.released.item_vectors_ID.shape[1]
    if len(sent.vector) != 4 * dimension:
        raise InvalidInput(
            field,
            f"{len(sent.vector) / 4:g} numbers ({len(sent.vector)} bytes); "
            f"send {dimension} little-endian float32 numbers, {4 * dimension} bytes",
        )
    vector_D = np.frombuffer(sent.vector, "<f4").astype(np.float64)
    length = float(np.linalg.norm(vector_D))
    if not np.isfinite(length) or length == 0.0:
        problem = "is zero" if length == 0.0 else "holds NaN or infinity"
        raise InvalidInput(field, f"{problem}, so it has no direction; send finite numbers that are not all 0")
    unit_D: FloatArray = (vector_D / length).astype(np.float32)
    return ItemVector(space_id, unit_D)


def _from_text(model: Model, sent: Sequence[SentItem]) -> list[tuple[int, ItemVector]]:
    """Vectors of what items say, by position: for items without a vector that is not of the same origin already."""
    positions = [position for position, each in enumerate(sent) if not each.vector and not _keeps_vector(model, each)]
    if not positions:
        return []
    encode = model.delta.released.encode
    if encode is None:
        problem = f"is missing, and {_why_needed(model, sent[positions[0]].item.item_id)}; send its vector"
        without = f" (release {model.release_id} has no item encoder that could make one)"
        raise InvalidInput(f"items[{positions[0]}].vector", problem + without)
    texts = table_of([sent[position].item for position in positions], model.delta.table.schema)
    vectors_ND = encode(Catalogue(texts))
    return [
        (position, ItemVector(model.space_id, vector_D, is_from_text=True))
        for position, vector_D in zip(positions, vectors_ND, strict=True)
    ]


def _why_needed(model: Model, item_id: str) -> str:
    """Why an item has no place that it could keep."""
    if model.delta.released.catalogue.row(item_id) >= 0:
        return f"{item_id!r} was deleted, so it has no place any more"
    return f"{item_id!r} is a new item, or one that was deleted"


def _keeps_vector(model: Model, sent: SentItem) -> bool:
    """Whether an item is there with a vector that does not depend on what it says."""
    row = model.catalogue.row(sent.item.item_id)
    behind = row - model.delta.released_count
    return row >= 0 and not (behind >= 0 and model.delta.added.is_from_text_N[behind])
