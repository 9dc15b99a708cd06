from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from unbraid_core.errors import InvalidInput
from unbraid_training.data.events import MISSING_ITEM_ID
from unbraid_training.data.items import DUPLICATE_ITEM, MISSING_TITLE, read_items
from unbraid_training.data.times import TIME_OUT_OF_RANGE, UNPARSABLE_TIME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "items.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_of_a_csv_file_become_a_typed_catalogue(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        "item_id,title,category,created_time,price,in_stock,note\n"
        '010,"Kettle, red",Kitchen| Tea ||,2011-10-18,12.5,true,x\n'
        "9,Lamp,,1318896000,,false,\n",
    )
    catalogue, report = read_items(path)
    assert catalogue.item_ids == ["010", "9"]
    assert catalogue.title(0) == "Kettle, red"
    assert [catalogue.categories(row) for row in (0, 1)] == [["Kitchen", "Tea"], []]
    midnight = datetime(2011, 10, 18, tzinfo=UTC)
    assert catalogue.table.column("created_time").to_pylist() == [midnight, midnight]
    assert catalogue.table.column("price").to_pylist() == [12.5, None]
    assert catalogue.table.column("in_stock").to_pylist() == [True, False]
    assert "category" not in catalogue.table.column_names
    assert report.findings == ()


def test_columns_of_a_parquet_file_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    columns = {
        "item_id": [3, 1],
        "title": ["A", None],
        "categories": [["x", None, " "], None],
        "created_time": pa.array([0, None], pa.timestamp("s")),
        "embedding": [[0.5, 1.0], [2.0, 3.0]],
    }
    parquet.write_table(pa.table(columns), path)
    catalogue, report = read_items(path)
    assert catalogue.item_ids == ["3", "1"]
    assert [catalogue.title(row) for row in (0, 1)] == ["A", ""]
    assert [catalogue.categories(row) for row in (0, 1)] == [["x"], []]
    assert catalogue.table.column("created_time").to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC), None]
    assert catalogue.table.column("embedding").to_pylist() == [[0.5, 1.0], [2.0, 3.0]]
    assert report.count(MISSING_TITLE) == 1


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pa.array([Decimal("9.50"), None]), pa.float64(), [9.5, None]),
        (pa.array([float("nan"), float("inf")], pa.float32()), pa.float32(), [None, None]),
        (pa.array([1.5, None]).cast(pa.float16()), pa.float32(), [1.5, None]),
        (pa.array([7, None], pa.uint64()), pa.int64(), [7, None]),
        (pa.array([2**64 - 1, 0], pa.uint64()), pa.float64(), [2.0**64, 0.0]),
        (pa.array([date(2026, 3, 1), None]), pa.timestamp("us", "UTC"), [datetime(2026, 3, 1, tzinfo=UTC), None]),
        (
            pa.array([1_001, None], pa.timestamp("ns")),
            pa.timestamp("us", "UTC"),
            [EPOCH + timedelta(microseconds=1), None],
        ),
        (pa.array([-(10**17), 0], pa.timestamp("us")), pa.timestamp("us", "UTC"), [None, EPOCH]),
        (pa.array([time(9, 30), None], pa.time32("ms")), pa.string(), ["09:30:00.000", None]),
        (pa.array(["x", None], pa.large_string()), pa.string(), ["x", None]),
        (pa.array(["x", None], pa.string_view()), pa.string(), ["x", None]),
        (pa.array(["x", None]).dictionary_encode(), pa.string(), ["x", None]),
        (pa.array([["x", None], None], pa.large_list(pa.large_string())), pa.list_(pa.string()), [["x", None], None]),
    ],
    ids=lambda each: str(each.type) if isinstance(each, pa.Array) else "",
)
def test_attributes_have_the_types_that_can_be_sent(
    tmp_path: Path, column: pa.Array[Any], kind: pa.DataType, values: list[Any]
) -> None:
    path = tmp_path / "items.parquet"
    parquet.write_table(pa.table({"item_id": ["a", "b"], "what": column}), path)
    stored = read_items(path)[0].table.column("what")
    assert (stored.type, stored.to_pylist()) == (kind, values)


def test_ids_alone_make_a_catalogue(tmp_path: Path) -> None:
    catalogue, report = read_items(csv_file(tmp_path, "item_id\nb\na\n"))
    assert catalogue.item_ids == ["b", "a"]
    assert report.count(MISSING_TITLE) == report.kept_count == 2


def test_the_first_row_of_an_id_counts_and_odd_rows_are_reported(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        "item_id,title,created_time\na,First,soon\na,Second,soon\n,Nobody,\nb,,1318896000000\n",
    )
    catalogue, report = read_items(path)
    assert [catalogue.title(row) for row in range(len(catalogue))] == ["First", ""]
    assert catalogue.table.column("created_time").to_pylist() == [None, None]
    found = {finding.reason: (finding.count, finding.line, finding.dropped) for finding in report.findings}
    assert found == {
        MISSING_ITEM_ID: (1, 4, True),
        DUPLICATE_ITEM: (1, 3, True),
        MISSING_TITLE: (1, 5, False),
        UNPARSABLE_TIME: (1, 2, False),
        TIME_OUT_OF_RANGE: (1, 5, False),
    }
    assert (report.read_count, report.kept_count) == (4, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,title\n1,x\n", "column 'item_id' is missing, found 'id', 'title'"),
        (b"item_id,title\n", "no rows below its header"),
        (b"item_id,title\n,x\n", "none of 1 row can be used: 1 missing item id"),
        (b"item_id,title,note\n1,x,\xff\n", "UTF-8"),
    ],
)
def test_an_unusable_file_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_items(path)
    assert message in caught.value.message


@pytest.mark.parametrize("categories", [pa.array([{"a": 1}]), pa.array([[{"a": 1}]])])
def test_categories_of_another_type_are_refused(tmp_path: Path, categories: pa.StructArray) -> None:
    path = tmp_path / "items.parquet"
    parquet.write_table(pa.table({"item_id": ["1"], "categories": categories}), path)
    with pytest.raises(InvalidInput, match="column 'categories' has type"):
        read_items(path)
