from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories

NAMES = ["drama", "comedy", "war", "noir"]


def catalogue(*category_lists: list[str]) -> Catalogue:
    return Catalogue.of([str(row) for row in range(len(category_lists))], categories=category_lists)


@given(
    lists=st.lists(st.lists(st.sampled_from(NAMES), max_size=3), min_size=1, max_size=12).filter(any), data=st.data()
)
def test_the_product_of_indicators_is_the_overlap_of_the_sets(lists: list[list[str]], data: st.DataObject) -> None:
    categories = Categories.of(catalogue(*lists))
    assert categories is not None
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), unique=True))
    indicator_CG = categories.unit_indicators(np.array(chosen, np.int64))
    assert indicator_CG.shape[0] == len(chosen)
    product_CC = indicator_CG @ indicator_CG.T
    for i, one in enumerate(chosen):
        for j, other in enumerate(chosen):
            if i != j:
                first, second = set(lists[one]), set(lists[other])
                expected = len(first & second) / np.sqrt(max(len(first), 1) * max(len(second), 1))
                assert product_CC[i, j] == pytest.approx(expected, abs=1e-6)


@given(lists=st.lists(st.lists(st.sampled_from(NAMES), max_size=3), min_size=1, max_size=12).filter(any))
def test_every_row_has_the_names_that_the_catalogue_gives_it(lists: list[list[str]]) -> None:
    categories = Categories.of(catalogue(*lists))
    assert categories is not None
    for row, names in enumerate(lists):
        code_N = categories.code_N[slice(*categories.offset_I1[row : row + 2])]
        assert [categories.names[code] for code in code_N] == sorted(set(names))


def test_a_catalogue_without_categories_has_none() -> None:
    assert Categories.of(catalogue([], [])) is None


def test_a_category_that_is_null_is_none() -> None:
    nothing: list[str | None] = [None, "war"]
    categories = Categories.of(Catalogue.of(["a", "b"], categories=[nothing, [None]]))  # type: ignore[list-item]
    assert categories is not None
    assert categories.names == ["war"]
    assert categories.offset_I1[np.arange(3)].tolist() == [0, 1, 1]
