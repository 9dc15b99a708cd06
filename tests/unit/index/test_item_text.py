"""What counts as the text of an item."""

from __future__ import annotations

import pyarrow as pa

from unbraid_core.catalogue import Catalogue
from unbraid_index.content.item_text import item_texts, text_columns

CATALOGUE = Catalogue.of(
    ["a", "b", "c"],
    ["Green tea", "Mug", ""],
    [["drinks", "tea"], [], []],
    {
        "description": pa.array(["Fresh from the hills", None, "holds half a litre"]),
        "code": pa.array(["B00A", "B00B", "B00C"]),
        "price": pa.array([4.5, 9.0, 25.0]),
        "empty": pa.array([None, None, None], pa.string()),
    },
)


def test_columns_of_several_words_are_text_and_codes_are_not() -> None:
    assert text_columns(CATALOGUE) == ["title", "categories", "description"]


def test_the_values_of_an_item_are_joined_in_the_order_of_the_columns() -> None:
    assert item_texts(CATALOGUE, ["title", "categories", "description"]) == [
        "Green tea, drinks, tea, Fresh from the hills",
        "Mug",
        "holds half a litre",
    ]
    assert item_texts(CATALOGUE, ["categories", "title"])[0] == "drinks, tea, Green tea"


def test_a_column_that_a_catalogue_lacks_says_nothing() -> None:
    assert item_texts(Catalogue.of(["a"], ["Mug"]), ["title", "description"]) == ["Mug"]


def test_a_number_counts_by_its_decimal_text() -> None:
    assert item_texts(CATALOGUE.take(pa.array([1]).to_numpy()), ["price"]) == ["9.0"]
