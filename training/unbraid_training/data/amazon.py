"""Amazon Beauty, 5-core (McAuley et al., 2014; research use): reviews as events, by day."""

from __future__ import annotations

from pathlib import Path

from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import read_events
from unbraid_training.data.items import ItemColumns, build_catalogue, split_categories
from unbraid_training.data.report import ReadReport
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import TAB_SEPARATED, read_table

__all__ = ["EVENTS_FILE", "ITEMS_FILE", "read_amazon"]

EVENTS_FILE, ITEMS_FILE = "events.csv.gz", "items.tsv"


def read_amazon(folder: Path) -> tuple[Dataset, ReadReport]:
    """Read ``events.csv.gz`` and ``items.tsv`` (item_id, asin, short_text, attribute_ids).

    The short text becomes the title, the ids of the category attributes become the categories.

    Raises:
        NotFound: a file is missing.
        InvalidInput: a file cannot be used.
    """
    items = read_table(folder / ITEMS_FILE, ("item_id", "asin", "short_text", "attribute_ids"), TAB_SEPARATED)
    rows = RowFilter(items)
    columns = ItemColumns(
        items.text("item_id"),
        items.text("short_text"),
        split_categories(items.text("attribute_ids"), " "),
        {"asin": items.text("asin")},
    )
    catalogue = build_catalogue(rows, columns)
    dataset, events_report = read_events(folder / EVENTS_FILE, catalogue)
    return dataset, ReadReport((rows.report(), events_report))
