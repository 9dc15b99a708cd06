"""UCI Online Retail: a year of invoices of a British gift wholesaler (Chen et al., 2012; CC BY 4.0).

The cleaning follows the literature on next-basket recommendation: identified customers, real sales of real products.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import IntArray
from unbraid_training.data.columns import equals, flags
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import EventColumns, build_dataset
from unbraid_training.data.report import ReadReport, Reason
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import read_table

__all__ = ["RETAIL_FILE", "read_online_retail"]

RETAIL_FILE = "online_retail.csv.gz"
TEXT_COLUMNS = ("InvoiceNo", "StockCode", "Description", "InvoiceDate", "CustomerID")
MISSING_CUSTOMER = Reason("missing CustomerID", "give every sale a customer")
CANCELLED = Reason("cancelled invoice (InvoiceNo begins with C)", "use invoices that were not cancelled")
NO_QUANTITY = Reason("Quantity not above 0", "use sales with a positive quantity")
NO_PRICE = Reason("UnitPrice not above 0", "use sales with a positive price")
NO_PRODUCT = Reason("StockCode does not begin with five digits", "use product codes; postage and the like are left out")


def read_online_retail(folder: Path) -> tuple[Dataset, ReadReport]:
    """Read and clean ``online_retail.csv.gz``; users are customers, items are stock codes.

    The title of an item is its most frequent description, among equally frequent ones the alphabetically first.

    Raises:
        NotFound: the file is missing.
        InvalidInput: the file cannot be used.
    """
    table = read_table(folder / RETAIL_FILE, TEXT_COLUMNS)
    rows = RowFilter(table)
    customer, stock_code = table.text("CustomerID"), table.text("StockCode")
    rows.reject(equals(customer, ""), MISSING_CUSTOMER)
    rows.reject(flags(pc.starts_with(table.text("InvoiceNo"), "C")), CANCELLED, table.text("InvoiceNo"))
    rows.reject(~(table.numbers("Quantity") > 0), NO_QUANTITY, table.column("Quantity"))
    rows.reject(~(table.numbers("UnitPrice") > 0), NO_PRICE, table.column("UnitPrice"))
    rows.reject(~flags(pc.match_substring_regex(stock_code, r"^\d{5}")), NO_PRODUCT, stock_code)
    columns = EventColumns(
        # A spreadsheet has written the integers as 17850.0.
        pc.replace_substring_regex(customer, r"\.0$", ""),
        stock_code,
        table.column("InvoiceDate"),
        pa.array([""] * len(table), pa.string()),
    )
    dataset = build_dataset(rows, columns, catalogue=None)
    titled = _with_titles(dataset.catalogue, stock_code, table.text("Description"), rows.kept())
    return replace(dataset, catalogue=titled), ReadReport((rows.report(),))


def _with_titles(
    catalogue: Catalogue, stock_code_N: pa.StringArray, description_N: pa.StringArray, kept_E: IntArray
) -> Catalogue:
    pairs = pa.table({"code": stock_code_N, "title": pc.utf8_trim_whitespace(description_N)}).take(kept_E)
    counts = pairs.group_by(["code", "title"]).aggregate([([], "count_all")])
    best_last = counts.sort_by([("count_all", "ascending"), ("title", "descending")])
    title_of = {str(pair["code"]): str(pair["title"]) for pair in best_last.to_pylist()}
    return Catalogue.of(catalogue.item_ids, [title_of[item_id] for item_id in catalogue.item_ids])
