"""Spaces to compare items in that no model under comparison has made.

The vectors of two models differ in scale and shape, so "how alike are the items of a list" has no common answer in
them. These spaces come from the training events and the catalogue alone:

    co-occurrence  an item is the set of its users; the cosine of two sets is |A and B| / sqrt(|A| |B|)
    categories     an item is the set of its categories
    titles         an item is the set of the words of its title, each weighing log(I / items with the word)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.data.dataset import Dataset

__all__ = ["ItemSpace", "item_spaces"]

WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True, eq=False)
class ItemSpace:
    """Items as vectors of unit length; one of which nothing is known is 0, and like no other.

    Attributes:
        name: of the space.
        vectors_IF: sparse float64 [I, F].
    """

    name: str
    vectors_IF: sparse.csr_array

    @classmethod
    def of(cls, name: str, row_N: IntArray, feature_N: IntArray, weight_F: DoubleArray, item_count: int) -> ItemSpace:
        """The space in which items have features; a pair of item and feature that is named twice counts once."""
        pair_N = np.unique(row_N * len(weight_F) + feature_N)
        row_N, feature_N = np.divmod(pair_N, len(weight_F))
        square_I = np.bincount(row_N, weights=weight_F[feature_N] ** 2, minlength=item_count)
        # A feature that every item has weighs nothing, and an item may have no other.
        length_I = np.sqrt(np.where(square_I > 0, square_I, 1.0))
        weight_N = weight_F[feature_N] / length_I[row_N]
        shape = item_count, len(weight_F)
        return cls(name, sparse.csr_array((weight_N, (row_N, feature_N)), shape=shape))


def item_spaces(train: Dataset) -> list[ItemSpace]:
    """The spaces that the training events and their catalogue give; one of co-occurrence always."""
    row_count, user_count = len(train.catalogue), len(train.user_ids)
    row_E, user_E = train.row_E.astype(np.int64), train.user_E.astype(np.int64)
    spaces = [ItemSpace.of("co-occurrence", row_E, user_E, np.ones(user_count), row_count)]
    categories = Categories.of(train.catalogue)
    if categories is not None:
        row_N, code_N = categories.pairs(np.arange(row_count))
        spaces.append(ItemSpace.of("categories", row_N, code_N, np.ones(len(categories.names)), row_count))
    titles = _title_space(train.catalogue)
    return spaces if titles is None else [*spaces, titles]


def _title_space(catalogue: Catalogue) -> ItemSpace | None:
    titles = catalogue.titles(np.arange(len(catalogue)))
    pairs = sorted({(row, word) for row, title in enumerate(titles) for word in WORD.findall(title.lower())})
    if not pairs:
        return None
    words, feature_N = np.unique([word for _, word in pairs], return_inverse=True)
    row_N = np.array([row for row, _ in pairs])
    weight_F = np.log(len(titles) / np.bincount(feature_N, minlength=len(words)))
    return ItemSpace.of("titles", row_N, feature_N, weight_F, len(titles))
