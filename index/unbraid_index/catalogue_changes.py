"""Folding the changes of a live catalogue into the next release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.errors import Conflict
from unbraid_core.item_change import ItemChange
from unbraid_core.live.delta import Delta
from unbraid_core.live.folding import fold
from unbraid_core.live.released_items import ReleasedItems
from unbraid_core.release import Release
from unbraid_core.types import FloatArray
from unbraid_index.content.item_encoder import open_item_encoder
from unbraid_index.exact import ExactSearcher
from unbraid_index.item_files import write_items

__all__ = ["Folding", "fold_changes"]


@dataclass(frozen=True, slots=True)
class Folding:
    """What became of the changes of a catalogue.

    Attributes:
        upserted_count: items that are new, or say something else than before.
        deleted_count: items that are gone.
        homeless_count: items that were left out, because no vector of theirs lies in the space of the release.
        sequence: number of the last change.
    """

    upserted_count: int
    deleted_count: int
    homeless_count: int
    sequence: int


def fold_changes(release: Release, changes: Sequence[ItemChange], folder: Path) -> tuple[FloatArray, Folding]:
    """Write the vectors, the catalogue and the other arrays of a release as its catalogue is now.

    What is deleted leaves the release, so events on it count no longer; a server with a delta still has it.

    Args:
        release: to be followed by another one.
        changes: at least one; what the catalogue store has behind the sequence of the release.
        folder: the files are written there.

    Returns:
        The vectors of all items.

    Raises:
        Conflict: there would be no items left.
        IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
    """
    delta = Delta.none(_released_items(release)).followed_by(changes)
    if delta.tombstone_I.all():
        raise Conflict(f"{release.manifest.release_id}: all items were deleted, and an index needs at least one")
    items = fold(delta)
    write_items(items, release.manifest.vector_precision, folder)
    folding = Folding(
        upserted_count=len(delta.row_of),
        deleted_count=sum(change.item is None for change in changes),
        homeless_count=len(delta.homeless),
        sequence=delta.sequence,
    )
    return items.item_vectors_ID, folding


def _released_items(release: Release) -> ReleasedItems:
    def encode(items: Catalogue) -> FloatArray:
        return open_item_encoder(release).encode(items).vectors_ND

    return ReleasedItems(
        space_id=release.manifest.space_id,
        catalogue=release.catalogue,
        item_vectors_ID=release.item_vectors_ID,
        searcher=ExactSearcher(release.item_vectors_ID),
        log_popularity_I=release.log_popularity_I,
        categories=Categories.of(release.catalogue),
        ranker_inputs=release.ranker_inputs,
        encode=None if release.manifest.item_encoder is None else encode,
        sequence=release.manifest.catalogue_sequence,
    )
