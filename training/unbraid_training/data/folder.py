"""A folder with an events file and, if there is more to say about the items, an items file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_training.data.columns import IndexArray
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import read_events
from unbraid_training.data.items import CATEGORY_SEPARATOR, read_items
from unbraid_training.data.report import ReadReport

__all__ = ["read_dataset", "write_dataset"]

ENDINGS = ("csv", "csv.gz", "parquet")


def read_dataset(folder: Path) -> tuple[Dataset, ReadReport]:
    """Read ``events.*`` and, where there is one, ``items.*`` (csv, csv.gz or parquet).

    With an items file the catalogue is that file, and events on other items are left out; without one it is all items
    of the events.

    Raises:
        NotFound: the folder has no events file.
        InvalidInput: two events or items files, or a file that cannot be used; the message names file, column and fix.
    """
    events, items = _find(folder, "events"), _find(folder, "items")
    if events is None:
        expected = " or ".join(f"events.{ending}" for ending in ENDINGS)
        raise NotFound(f"{folder}: no events file found; put one there that is named {expected}")
    if items is None:
        dataset, events_report = read_events(events)
        return dataset, ReadReport((events_report,))
    catalogue, items_report = read_items(items)
    dataset, events_report = read_events(events, catalogue)
    return dataset, ReadReport((items_report, events_report))


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write ``events.csv`` and ``items.csv`` such that ``read_dataset`` gives the same data set again.

    Every user needs an event, and the attributes of the items must be scalars: CSV has no place for others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = {
        "user_id": _names(dataset.user_ids, dataset.user_E),
        "item_id": _names(dataset.catalogue.item_ids, dataset.row_E),
        "timestamp": pa.array(dataset.time_s_E),
        "action": _names(dataset.actions, dataset.action_E),
    }
    csv.write_csv(pa.table(events), folder / "events.csv")
    items = dataset.catalogue.table
    joined = [CATEGORY_SEPARATOR.join(dataset.catalogue.categories(row)) for row in range(len(items))]
    position = items.column_names.index("categories")
    csv.write_csv(items.set_column(position, "categories", pa.array(joined, pa.string())), folder / "items.csv")


def _find(folder: Path, stem: str) -> Path | None:
    found = [path for ending in ENDINGS if (path := folder / f"{stem}.{ending}").exists()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InvalidInput(str(folder), f"holds {names}; keep one of them")
    return found[0] if found else None


def _names(names: Sequence[str], index_E: IndexArray) -> pa.StringArray:
    return pa.array(names, pa.string()).take(index_E)
