"""Filters against the definitions: every item is looked at, one by one, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.attributes import Attributes
from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.filter import (
    AttributeKind,
    Condition,
    Filter,
    FlagCondition,
    Match,
    RangeCondition,
    TextCondition,
)

NAMES = ["", "Books", "Book", "Ébène", "Zoo", "本", "😀", "aa"]
KINDS = {
    "categories": AttributeKind.TEXT,
    "brand": AttributeKind.TEXT,
    "price": AttributeKind.NUMBER,
    "stock": AttributeKind.NUMBER,
    "created_time": AttributeKind.TIME,
    "sale": AttributeKind.FLAG,
}
Row = dict[str, Any]

name_lists = st.lists(st.sampled_from(NAMES), max_size=3)
numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-3, 3))
items = st.fixed_dictionaries(
    {
        "categories": name_lists,
        "brand": st.none() | st.sampled_from(NAMES),
        "price": st.none() | numbers,
        "stock": st.none() | st.integers(-3, 3),
        "created_time": st.none() | st.integers(-3, 3),
        "sale": st.none() | st.booleans(),
    }
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    attribute = draw(st.sampled_from(list(KINDS)))
    match KINDS[attribute]:
        case AttributeKind.TEXT:
            values = draw(st.lists(st.sampled_from([*NAMES, "no such"]), min_size=1, max_size=4))
            return TextCondition(attribute, draw(st.sampled_from(Match)), tuple(values))
        case AttributeKind.FLAG:
            return FlagCondition(attribute, draw(st.booleans()))
        case kind:
            least, most = sorted((draw(numbers), draw(numbers)))
            condition = RangeCondition(attribute, kind, least, most, draw(st.booleans()), draw(st.booleans()))
            is_possible = condition.closed[0] <= condition.closed[1]
            return condition if is_possible else RangeCondition(attribute, kind, least)


def catalogue(rows: Sequence[Row]) -> Catalogue:
    def column(name: str, kind: pa.DataType) -> pa.Array[Any]:
        return pa.array([row[name] for row in rows], kind)

    return Catalogue.of(
        [str(row) for row in range(len(rows))],
        categories=[row["categories"] for row in rows],
        attributes={
            "brand": column("brand", pa.string()),
            "price": column("price", pa.float64()),
            "stock": column("stock", pa.int32()),
            "created_time": column("created_time", pa.int64()).cast(pa.timestamp("s", "UTC")),
            "sale": column("sale", pa.bool_()),
        },
    )


def meets(row: Row, condition: Condition) -> bool:
    value = row[condition.attribute]
    if isinstance(condition, FlagCondition):
        return value is condition.value
    if isinstance(condition, TextCondition):
        have = value if isinstance(value, list) else [value]
        found = [wanted in have for wanted in condition.values]
        return {Match.ANY: any(found), Match.ALL: all(found), Match.NONE: not any(found)}[condition.match]
    if not isinstance(value, int | float):
        return False
    above = (
        condition.least is None
        or value > condition.least
        or (value == condition.least and not condition.least_excluded)
    )
    below = (
        condition.most is None or value < condition.most or (value == condition.most and not condition.most_excluded)
    )
    return above and below


@given(st.lists(items, min_size=1, max_size=80), st.lists(conditions(), min_size=1, max_size=4))
def test_the_items_that_match_are_those_that_meet_every_condition(rows: list[Row], wanted: list[Condition]) -> None:
    attributes = Attributes.of(catalogue(rows))
    matching_I = attributes.matching(Filter(tuple(wanted)))
    assert matching_I.dtype == np.bool_
    assert matching_I.tolist() == [all(meets(row, condition) for condition in wanted) for row in rows]
    assert attributes.most_matching(Filter(tuple(wanted))) >= matching_I.sum()


def one(condition: Condition) -> Filter:
    return Filter((condition,))


def test_common_and_rare_values_of_a_large_catalogue_are_found() -> None:
    rng = np.random.default_rng(0)
    code_I = np.minimum(rng.geometric(0.2, 5_000), 40)
    attributes = Attributes.of(
        Catalogue.of([str(i) for i in range(5_000)], attributes={"shop": pa.array([str(code) for code in code_I])})
    )
    for code in range(1, 41):
        wanted = one(TextCondition("shop", Match.ANY, (str(code),)))
        np.testing.assert_array_equal(attributes.matching(wanted), code_I == code)
        assert attributes.most_matching(wanted) == (code_I == code).sum()


def test_narrow_and_wide_ranges_of_a_large_catalogue_are_found() -> None:
    price_I = np.random.default_rng(0).normal(size=5_000)
    price_I[::7] = np.nan
    attributes = Attributes.of(Catalogue.of([str(i) for i in range(5_000)], attributes={"price": pa.array(price_I)}))
    for least, most in ((-9.0, 9.0), (0.0, 0.01), (0.5, 1.5), (4.0, 9.0)):
        wanted = one(RangeCondition("price", AttributeKind.NUMBER, least, most))
        np.testing.assert_array_equal(attributes.matching(wanted), (price_I >= least) & (price_I <= most))
        assert attributes.most_matching(wanted) == attributes.matching(wanted).sum()


@pytest.mark.parametrize(
    ("column", "kind", "condition"),
    [
        (pa.array(["x", "y"]).dictionary_encode(), AttributeKind.TEXT, TextCondition("it", Match.ANY, ("y",))),
        (pa.array([["x"], ["y", "x"]]), AttributeKind.TEXT, TextCondition("it", Match.ALL, ("x", "y"))),
        (pa.array(["x", "y"], pa.large_string()), AttributeKind.TEXT, TextCondition("it", Match.NONE, ("x",))),
        (pa.array([1, 2], pa.int8()), AttributeKind.NUMBER, RangeCondition("it", AttributeKind.NUMBER, least=2.0)),
        (pa.array([1, 2], pa.float32()), AttributeKind.NUMBER, RangeCondition("it", AttributeKind.NUMBER, 1.5, 2.5)),
        (
            pa.array([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC")),
            AttributeKind.TIME,
            RangeCondition("it", AttributeKind.TIME, least=datetime(2024, 2, 1, tzinfo=UTC).timestamp()),
        ),
        (
            pa.array([date(2024, 1, 1), date(2024, 5, 1)]),
            AttributeKind.TIME,
            RangeCondition("it", AttributeKind.TIME, datetime(2024, 5, 1, tzinfo=UTC).timestamp(), most_excluded=True),
        ),
        (pa.array([False, True]), AttributeKind.FLAG, FlagCondition("it", value=True)),
    ],
)
def test_every_stored_type_of_a_kind_is_filtered_by(
    column: pa.Array[Any], kind: AttributeKind, condition: Condition
) -> None:
    attributes = Attributes.of(Catalogue.of(["a", "b"], attributes={"it": column}))
    assert attributes.kinds["it"] is kind
    assert attributes.matching(one(condition)).tolist() == [False, True]


def test_a_column_that_no_condition_is_for_is_no_attribute() -> None:
    attributes = Attributes.of(Catalogue.of(["a"], attributes={"blob": pa.array([b"x"]), "pair": pa.array([[1, 2]])}))
    assert list(attributes.kinds) == ["categories"]


SHOP = Attributes.of(
    catalogue([{"categories": ["x"], "brand": "b", "price": 1.0, "stock": 1, "created_time": 1, "sale": True}])
)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (
            TextCondition("categorie", Match.ANY, ("x",)),
            r"conditions\[0\]\.attribute: this release has no attribute 'categorie'; did you mean 'categories'\?",
        ),
        (TextCondition("qqq", Match.ANY, ("x",)), r"no attribute 'qqq'; it has categories"),
        (TextCondition("title", Match.ANY, ("x",)), r"'title' is not filtered by; send allowed_item_ids"),
        (TextCondition("price", Match.ANY, ("x",)), r"filter\.conditions\[0\]: 'price' is a number; ask for a range"),
        (FlagCondition("brand", value=True), r"'brand' is text; ask for any, all or none"),
        (
            RangeCondition("created_time", AttributeKind.NUMBER, 1.0),
            r"'created_time' is a time; ask for a range of times",
        ),
        (RangeCondition("sale", AttributeKind.TIME, 1.0), r"'sale' is a flag; ask whether it is set"),
    ],
)
def test_what_the_catalogue_cannot_answer_is_refused_by_name(condition: Condition, problem: str) -> None:
    for ask in (SHOP.check, SHOP.matching, SHOP.most_matching):
        with pytest.raises(InvalidInput, match=problem):
            ask(one(condition))


def number(least: float | None = None, most: float | None = None, *, excluded: bool = False) -> RangeCondition:
    return RangeCondition("price", AttributeKind.NUMBER, least, most, least_excluded=excluded)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ([], r"filter\.conditions: 0 conditions; send from 1 to 32"),
        ([number(1.0)] * 33, r"filter\.conditions: 33 conditions; send from 1 to 32"),
        ([number(1.0), number()], r"filter\.conditions\[1\]: has no bound"),
        ([number(math.nan)], r"filter\.conditions\[0\]: the least value is nan; give a finite number"),
        ([number(0.0, math.inf)], r"the most value is inf"),
        ([number(3.0, 2.0)], r"nothing lies from 3\.0 to 2\.0; give the smaller bound first"),
        ([number(2.0, 2.0, excluded=True)], r"nothing lies from 2\.0 to 2\.0"),
        ([TextCondition("brand", Match.ANY, ())], r"filter\.conditions\[0\]: names no value"),
        (
            [TextCondition("brand", Match.ANY, ("x",) * 1001)],
            r"conditions\[0\]: names 1001 values; name at most 1000",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(wanted: list[Condition], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Filter(tuple(wanted))


def test_threads_that_ask_first_get_the_same_answer() -> None:
    rows = [
        {
            "categories": [NAMES[i % 7]],
            "brand": NAMES[i % 8],
            "price": float(i),
            "stock": i,
            "created_time": i,
            "sale": True,
        }
        for i in range(500)
    ]
    attributes = Attributes.of(catalogue(rows))
    wanted = Filter((TextCondition("categories", Match.ANY, ("Zoo", "")), number(100.0)))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: attributes.matching(wanted), range(32)))
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])
    assert answers[0].sum() == sum(i % 7 in (0, 4) for i in range(100, 500))


def test_memory_is_bounded_by_the_values() -> None:
    """Of one brand an item, half of them one and the same: less than 4 bytes an item. Of one number: 12 bytes."""
    brands = ["big" if i % 2 else f"small {i % 400}" for i in range(20_000)]
    columns = {"brand": pa.array(brands), "price": pa.array(np.arange(20_000.0))}
    attributes = Attributes.of(Catalogue.of([str(i) for i in range(20_000)], attributes=columns))
    assert attributes.size_bytes == 0
    attributes.matching(one(TextCondition("brand", Match.ANY, ("big",))))
    assert 0 < attributes.size_bytes < 4 * 20_000
    brand_bytes = attributes.size_bytes
    attributes.matching(one(number(5.0)))
    assert attributes.size_bytes - brand_bytes == 12 * 20_000
