"""Items that training never saw, added to what it left behind: their vectors come from their text alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.factors import Factors
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.live.folding import FoldedItems
from unbraid_core.live.newcomers import expected_values, nearest_rows
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release import Export, Release
from unbraid_core.types import FloatArray, IntArray
from unbraid_index.content.item_encoder import open_item_encoder
from unbraid_index.exact import ExactSearcher
from unbraid_index.item_files import write_items

__all__ = ["Addition", "add_items"]


@dataclass(frozen=True, slots=True)
class Addition:
    """How many items were added, how many were there before, and how many of the added ones say nothing.

    An item says nothing if no word of it is known; all such items share one vector.
    """

    added_count: int
    known_count: int
    wordless_count: int


def add_items(source: Export | Release, items: Catalogue, folder: Path) -> tuple[FloatArray, Addition]:
    """Write the vectors, the catalogue and the other arrays of a source with further items behind its own.

    Items that the source has already are left as they are there. The others are expected to become as popular, as often
    repeated and so on as their neighbours are: see ``newcomers``.

    Args:
        source: with an item encoder.
        items: perhaps new ones.
        folder: the files are written there.

    Returns:
        The vectors of all items.

    Raises:
        IncompatibleError: the source has no item encoder, or one that cannot be used.
        IntegrityError: its tokeniser cannot be read.
        InvalidInput: a column of the items has another type than in the catalogue.
    """
    unknown_N = source.catalogue.rows(items.item_ids) < 0
    fresh = items.take(np.flatnonzero(unknown_N))
    encoded = open_item_encoder(source).encode(fresh)
    own_ID = source.item_vectors_ID[:]
    item_vectors_ID = np.concatenate([own_ID, encoded.vectors_ND])
    near_NM = nearest_rows(ExactSearcher(own_ID), encoded.vectors_ND)
    all_items = FoldedItems(
        catalogue=source.catalogue.followed_by(fresh),
        item_vectors_ID=item_vectors_ID,
        log_popularity_I=_like_neighbours(source.log_popularity_I, near_NM),
        ranker_inputs=None if source.ranker_inputs is None else _extended(source.ranker_inputs, near_NM),
    )
    write_items(all_items, source.manifest.vector_precision, folder)
    known_count = len(items) - len(fresh)
    return item_vectors_ID, Addition(len(fresh), known_count, int(encoded.wordless_N.sum()))


def _like_neighbours(value_IS: FloatArray, near_NM: IntArray) -> FloatArray:
    """The values of all items, and behind them for each new one the mean of its neighbours."""
    return np.concatenate([value_IS, expected_values(value_IS, near_NM)])


def _extended(inputs: RankerInputs, near_NM: IntArray) -> RankerInputs:
    """What profile ``learned`` reads: nothing goes together with a new item yet, all else is like its neighbours."""
    neighbours, factors, statistics = inputs.neighbours, inputs.factors, inputs.statistics
    shape_NM = len(near_NM), neighbours.row_IM.shape[1]
    return RankerInputs(
        neighbours=Neighbours(
            np.concatenate([neighbours.row_IM, np.zeros(shape_NM, np.int32)]),
            np.concatenate([neighbours.weight_IM, np.zeros(shape_NM, np.float32)]),
            neighbours.half_life_s,
        ),
        factors=Factors(_like_neighbours(factors.vector_IF, near_NM), factors.confidence, factors.regularisation),
        statistics=ItemStatistics(_like_neighbours(statistics.value_IS[:], near_NM), statistics.reference_time_s),
        depth=inputs.depth,
    )
