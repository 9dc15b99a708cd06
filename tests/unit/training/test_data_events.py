from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.ports import Event, UserEvent
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import (
    DUPLICATE_EVENT,
    MISSING_ITEM_ID,
    MISSING_USER_ID,
    UNKNOWN_ITEM,
    iter_user_events,
    read_events,
)
from unbraid_training.data.row_filter import EMPTY_ROW, WRONG_COLUMN_COUNT
from unbraid_training.data.times import MISSING_TIME, TIME_OUT_OF_RANGE, UNPARSABLE_TIME

HEADER = "user_id,item_id,timestamp,action\n"


def event(user_id: str, item_id: str, time_s: float, action: str = "") -> UserEvent:
    return UserEvent(user_id, Event(item_id, time_s, action))


def events_of(dataset: Dataset) -> list[UserEvent]:
    return list(iter_user_events(dataset))


def csv_file(folder: Path, text: str, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_gzip_and_parquet_give_the_same_data_set(tmp_path: Path) -> None:
    text = HEADER + "u2,i1,30,view\nu1,i2,1970-01-01T00:00:20Z,\nu2,i2,10.5,buy\n"
    compressed = tmp_path / "events.csv.gz"
    compressed.write_bytes(gzip.compress(text.encode()))
    columnar = tmp_path / "events.parquet"
    columns = {
        "user_id": pa.array(["u2", "u1", "u2"]).dictionary_encode(),
        "item_id": pa.array(["i1", "i2", "i2"], pa.large_string()),
        "timestamp": [30.0, 20.0, 10.5],
        "action": ["view", None, "buy"],
    }
    parquet.write_table(pa.table(columns), columnar)
    datasets = [read_events(path)[0] for path in (csv_file(tmp_path, text), compressed, columnar)]
    assert len({dataset.sha256() for dataset in datasets}) == 1
    assert events_of(datasets[0]) == [
        event("u2", "i2", 10.5, "buy"),
        event("u2", "i1", 30, "view"),
        event("u1", "i2", 20),
    ]
    assert datasets[0].actions == ["", "buy", "view"]
    assert datasets[0].catalogue.item_ids == ["i1", "i2"]


def test_ids_are_strings_to_the_letter(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER + "007,NA,1,\nnull,1e3,2,\n true,nan,3,\n")
    dataset, report = read_events(path)
    assert dataset.user_ids == ["007", "null", " true"]
    assert dataset.catalogue.item_ids == ["NA", "1e3", "nan"]
    assert report.findings == ()


def test_whole_numbers_of_parquet_become_decimal_text(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    parquet.write_table(
        pa.table({"user_id": [-7, 2**62], "item_id": pa.array([1, 2], pa.uint8()), "timestamp": [1, 2]}), path
    )
    dataset, _ = read_events(path)
    assert dataset.user_ids == ["-7", str(2**62)]
    assert dataset.catalogue.item_ids == ["1", "2"]


IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=5)


@settings(max_examples=50)
@given(st.sets(st.tuples(IDS, IDS, st.integers(-(10**9), 10**10), IDS), min_size=1, max_size=20))
def test_whatever_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: set[tuple[str, str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("events")
    quoted = [",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) for row in rows]
    dataset, report = read_events(csv_file(folder, HEADER + "\n".join(quoted)))
    assert {(one.user_id, one.event.item_id, one.event.time_s, one.event.action) for one in events_of(dataset)} == rows
    assert report.read_count == report.kept_count == len(rows)


def test_every_reason_is_counted_with_its_first_line(tmp_path: Path) -> None:
    lines = [
        "u1,i1,1,",  # line 2
        ",i1,2,",
        "u1,,3,",
        "u1,i1,,",
        "u1,i1,soon,",
        "u1,i1,1318896000000,",
        "u1,i1",
        "",
        "u1,i9,4,",
        "u1,i1,1970-01-01T00:00:01Z,",
        "u1,i1,1,view",
        ",i2,5,",
        "u1,i2,4,a,b",
    ]
    catalogue = Catalogue.of(["i2", "i1"])
    dataset, report = read_events(csv_file(tmp_path, HEADER + "\n".join(lines)), catalogue)
    found = {finding.reason: (finding.count, finding.line, finding.example) for finding in report.findings}
    assert found == {
        WRONG_COLUMN_COUNT: (2, 8, "u1,i1"),
        EMPTY_ROW: (1, 9, ""),
        MISSING_USER_ID: (2, 3, ""),
        MISSING_ITEM_ID: (1, 4, ""),
        MISSING_TIME: (1, 5, ""),
        UNPARSABLE_TIME: (1, 6, "soon"),
        TIME_OUT_OF_RANGE: (1, 7, "1318896000000"),
        UNKNOWN_ITEM: (1, 10, "i9"),
        DUPLICATE_EVENT: (1, 11, "i1"),
    }
    assert events_of(dataset) == [event("u1", "i1", 1), event("u1", "i1", 1, "view")]
    assert report.read_count == len(lines)
    assert report.kept_count + sum(finding.count for finding in report.findings) == len(lines)
    assert dataset.catalogue is catalogue


def test_events_at_the_same_time_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    dataset, _ = read_events(csv_file(tmp_path, HEADER + "u,c,5,\nu,a,5,\nu,b,5,\nu,z,1,\n"))
    assert [one.event.item_id for one in events_of(dataset)] == ["z", "c", "a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (HEADER.encode(), "no rows below its header"),
        (b"user,item_id,timestamp\n1,2,3\n", "column 'user_id' is missing, found 'user', 'item_id', 'timestamp'"),
        (b"user_id;item_id;timestamp\n1;2;3\n", "separate the columns with commas"),
        (b"user_id,item_id\n1,2\n", "column 'timestamp' is missing"),
        (b"user_id,user_id,item_id,timestamp\n1,1,2,3\n", "column 'user_id' appears twice"),
        ("user_id,item_id,timestamp\nJörg,1,2\n".encode("latin-1"), "save the file with UTF-8 encoding"),
        ("user_id,item_id,timestamp\n1,2,3\n".encode("utf-16"), "save the file with UTF-8 encoding"),
        (
            b"user_id,item_id,timestamp\n1,2,soon\n1,2,late\n",
            "none of 2 rows can be used: 2 unparsable time (first in line 2: 'soon'); write",
        ),
        (b"user_id,item_id,timestamp\n1,2,1318896000000\n", "in seconds, not in milliseconds"),
        (b'user_id,item_id,timestamp\n"1,2,3\n4,5,6\n', "close every quote"),
    ],
)
def test_an_unusable_csv_file_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_events(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{path}: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"user_id,item_id,timestamp\n" + b"1,2,3\n" * 9999)[:-40]]
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="not a readable gzip file"):
        read_events(path)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InvalidInput, match="not a readable Parquet file"):
        read_events(path)


def test_ids_that_are_neither_text_nor_whole_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    parquet.write_table(pa.table({"user_id": [1.5], "item_id": ["a"], "timestamp": [1]}), path)
    with pytest.raises(InvalidInput, match="column 'user_id' has type double, expected string or integer"):
        read_events(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_events(tmp_path / "events.csv")


def test_events_on_unknown_items_alone_say_how_to_repair_the_items_file(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER + "u,i1,1,\n")
    with pytest.raises(InvalidInput, match=r"1 unknown item \(first in line 2: 'i1'\); give every item"):
        read_events(path, Catalogue.of(["other"]))
