from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput, NotFound
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import UNKNOWN_ITEM
from unbraid_training.data.folder import read_dataset, write_dataset
from unbraid_training.data.sources import open_dataset

EVENTS = "user_id,item_id,timestamp\nu,b,2\nu,a,1\n"


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Small data sets in which every user has an event and no event stands twice."""
    events = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 4), st.floats(-1e9, 1e10), st.integers(0, 2)),
            min_size=1,
            max_size=30,
            unique=True,
        )
    )
    columns = np.array(events)
    users, user_E = np.unique(columns[:, 0], return_inverse=True)
    used, action_E = np.unique(np.append(columns[:, 3], 0), return_inverse=True)
    return Dataset.of(
        Catalogue.of(list("abcde"), ["", 'A "title", quoted', "|", "1", "é"], [[], ["x", "y z"], ["1"], [], ["ü"]]),
        [f"0{user:.0f}" for user in users],
        ["", "buy", "view"][: len(used)],
        user_E,
        columns[:, 1].astype(np.int64),
        columns[:, 2],
        action_E[:-1],
    )


@settings(max_examples=30)
@given(datasets())
def test_a_written_data_set_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> None:
    folder = tmp_path_factory.mktemp("round-trip")
    write_dataset(dataset, folder)
    again, report = read_dataset(folder)
    assert again.sha256() == dataset.sha256()
    assert again.catalogue.table.equals(dataset.catalogue.table)
    assert [file.name for file in report.files] == ["items.csv", "events.csv"]


def test_without_an_items_file_the_events_name_the_items(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    dataset, report = read_dataset(tmp_path)
    assert dataset.catalogue.item_ids == ["b", "a"]
    assert report.count(UNKNOWN_ITEM) == 0


def test_with_an_items_file_other_items_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "items.csv").write_text("item_id,title\nc,C\na,A\n")
    dataset, report = read_dataset(tmp_path)
    assert dataset.catalogue.item_ids == ["c", "a"]
    assert dataset.row_E.tolist() == [1]
    assert report.count(UNKNOWN_ITEM) == 1
    assert "events.csv: left out: unknown item: 1, first in line 2: 'b'" in report.lines()


def test_two_events_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "events.csv.gz").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"holds events.csv and events.csv.gz; keep one"):
        read_dataset(tmp_path)


def test_a_folder_without_data_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no events file found; put one there that is named events.csv or "):
        open_dataset(tmp_path)
    with pytest.raises(NotFound, match="no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    with pytest.raises(InvalidInput, match="name the folder"):
        open_dataset(tmp_path / "events.csv")
