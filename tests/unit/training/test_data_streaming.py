"""Events read in batches are those of one table: order, repeats, lines, and memory that does not grow with strings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.event_collector import EventCollector, EventColumns
from unbraid_training.data.event_order import order_events, take
from unbraid_training.data.events import DUPLICATE_EVENT, UNKNOWN_ITEM, iter_user_events, read_events
from unbraid_training.data.ledger import Ledger
from unbraid_training.data.line_runs import LineRuns
from unbraid_training.data.report import FileReport
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import RawTable, iter_tables

seeds = st.integers(0, 2**32 - 1)


def columns(seed: int) -> dict[str, list[object]]:
    """Few users, items and times, so that there are repeats and ties; some values are missing or wrong."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    draw = {
        "user_id": ["u1", "u2", "u3", ""],
        "item_id": ["i1", "i2", "i3", "i9"],
        "timestamp": ["1", "2", "1970-01-01T00:00:02Z", "soon", ""],
        "action": ["", "view", "buy"],
    }
    return {name: [values[k] for k in rng.integers(len(values), size=count)] for name, values in draw.items()}


def collected(table: pa.Table, cuts: list[int], catalogue: Catalogue | None) -> tuple[Dataset, FileReport]:
    """Read a table in batches that end at the cuts."""
    ledger, collector = Ledger(Path("events.parquet")), EventCollector(catalogue)
    for start, stop in zip([0, *cuts], [*cuts, len(table)], strict=True):
        batch = RawTable(Path("events.parquet"), table[start:stop], np.arange(start + 1, stop + 1))
        texts = [batch.text(name) for name in ("user_id", "item_id", "timestamp", "action")]
        collector.add(RowFilter(batch, ledger), EventColumns(*texts))
    return collector.dataset(ledger), ledger.report()


def outcome(table: pa.Table, cuts: list[int], catalogue: Catalogue | None) -> tuple[str, FileReport] | str:
    """Digest and report, or the message if nothing can be used."""
    try:
        dataset, report = collected(table, cuts, catalogue)
    except InvalidInput as error:
        return error.message
    return dataset.sha256(), report


@settings(max_examples=80, deadline=None)
@given(seed=seeds, with_catalogue=st.booleans())
def test_batches_give_what_one_table_gives(seed: int, with_catalogue: bool) -> None:
    table = pa.table(columns(seed))
    catalogue = Catalogue.of(["i3", "i2", "i1"]) if with_catalogue else None
    rng = np.random.default_rng([seed, 1])
    cuts = np.sort(rng.integers(0, len(table) + 1, rng.integers(0, 6))).tolist()
    assert outcome(table, cuts, catalogue) == outcome(table, [], catalogue)


@settings(max_examples=80, deadline=None)
@given(seed=seeds, block_size=st.integers(1, 30))
def test_the_order_is_that_of_a_stable_sort_without_repeats(seed: int, block_size: int) -> None:
    rng = np.random.default_rng(seed)
    user_count, count = int(rng.integers(1, 8)), int(rng.integers(1, 60))
    user_N, row_N, action_N = (rng.integers(0, n, count).astype(np.int32) for n in (user_count, 3, 2))
    time_s_N = rng.integers(0, 4, count).astype(np.float64)
    expected: list[int] = []
    repeats: list[int] = []
    seen = set()
    for position in np.lexsort((time_s_N, user_N)).tolist():
        event = (user_N[position], row_N[position], action_N[position], time_s_N[position])
        (repeats if event in seen else expected).append(position)
        seen.add(event)
    order = order_events(user_N, row_N, action_N, time_s_N, user_count, block_size)
    assert order.position_E.tolist() == expected
    assert (order.repeat_count, order.first_repeat) == (len(repeats), min(repeats, default=-1))
    assert take(time_s_N, order.position_E).tolist() == time_s_N[expected].tolist()


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(1, 3), max_size=8), min_size=1, max_size=5).filter(any))
def test_every_row_is_found_in_its_line(gaps: list[list[int]]) -> None:
    runs = LineRuns()
    lines: list[int] = []
    for part in gaps:
        last = lines[-1] if lines else 0
        lines += (last + np.cumsum(part, dtype=np.int64)).tolist()
        runs.add(np.array(lines[len(lines) - len(part) :], np.int64))
    assert [runs.line(position) for position in range(len(lines))] == lines


def test_lines_in_later_batches_of_a_file_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unbraid_training.data.tables.BATCH_SIZE", 3)
    path = tmp_path / "events.parquet"
    items = ["a", "b", "a", "b", "a", "nowhere", "b", "a", "a"]
    parquet.write_table(
        pa.table({"user_id": ["u"] * 9, "item_id": items, "timestamp": [1, 2, 3, 4, 5, 6, 7, 8, 8]}),
        path,
        row_group_size=4,
    )
    assert sum(1 for _ in iter_tables(path, ())) > 2
    dataset, report = read_events(path, Catalogue.of(["a", "b"]))
    found = {finding.reason: (finding.count, finding.line, finding.example) for finding in report.findings}
    assert found == {UNKNOWN_ITEM: (1, 6, "nowhere"), DUPLICATE_EVENT: (1, 9, "a")}
    assert [one.event.time_s for one in iter_user_events(dataset)] == [1, 2, 3, 4, 5, 7, 8]


def test_a_parquet_file_without_rows_says_so(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    parquet.write_table(pa.table({"user_id": pa.array([], pa.string())}), path)
    with pytest.raises(InvalidInput, match="column 'item_id' is missing"):
        read_events(path)


def test_pairs_of_many_users_and_items_do_not_overflow() -> None:
    item_count = 100_000
    catalogue = Catalogue.of([f"i{row}" for row in range(item_count)])
    users = [f"u{user}" for user in range(50_000)]
    last = np.array([len(users) - 1, len(users) - 2])
    dataset = Dataset.of(
        catalogue, users, [""], last, np.array([item_count - 1, 0]), np.zeros(2), np.zeros(2, np.int64)
    )
    assert dataset.pair_E.tolist() == [(len(users) - 2) * item_count, len(users) * item_count - 1]


READ = """
import resource, sys
from pathlib import Path
from unbraid_training.data.events import read_events
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dataset, _ = read_events(Path(sys.argv[1]))
print(len(dataset), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_does_not_grow_with_the_ids(tmp_path: Path) -> None:
    """A million events whose ids take 400 MB as strings: read in less than that."""
    path, count, width = tmp_path / "events.parquet", 1_000_000, 200
    rng = np.random.default_rng(1)
    names = pa.array([f"{name:0{width}d}" for name in range(1000)])
    kinds: dict[str, pa.DataType] = {"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.int64()}
    schema = pa.schema(kinds)
    with parquet.ParquetWriter(path, schema) as file:
        for start in range(0, count, 250_000):
            ids = [names.take(rng.integers(0, 1000, 250_000)) for _ in range(2)]
            times = pa.array(np.arange(start, start + 250_000))
            file.write_table(pa.table([*ids, times], names=schema.names))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    event_count, grown_bytes = map(int, done.stdout.split())
    assert event_count == count
    assert grown_bytes < 2 * width * count
