"""The files of a release that have a row for each item."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unbraid_core.item_vectors import compact
from unbraid_core.live.folding import FoldedItems
from unbraid_core.release.layout import CATALOGUE, ITEM_FEATURES, ITEM_VECTORS
from unbraid_core.release.ranker import write_ranker_inputs
from unbraid_core.types import Precision

__all__ = ["write_items"]


def write_items(items: FoldedItems, precision: Precision, folder: Path) -> None:
    """Write them into a staging folder.

    Args:
        items: what is in the files.
        precision: of the item vectors.
        folder: the files are written there.
    """
    vectors_ID = items.item_vectors_ID
    np.save(folder / ITEM_VECTORS, vectors_ID if precision is Precision.FP32 else compact(vectors_ID, precision))
    np.save(folder / ITEM_FEATURES, items.log_popularity_I[:, None])
    items.catalogue.write(folder / CATALOGUE)
    if items.ranker_inputs is not None:
        write_ranker_inputs(items.ranker_inputs, folder)
