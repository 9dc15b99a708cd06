"""Every kind of data that unbraid can read, behind one door."""

from __future__ import annotations

from pathlib import Path

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_training.data import amazon, movielens, online_retail
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.folder import read_dataset
from unbraid_training.data.report import ReadReport

__all__ = ["open_dataset"]


def open_dataset(source: str | Path) -> tuple[Dataset, ReadReport]:
    """Read whatever a folder holds: MovieLens-100K, UCI Online Retail, Amazon Beauty, or events and items files.

    Raises:
        NotFound: there is no such folder, or it holds nothing that can be read.
        InvalidInput: it is a file, or its content cannot be used; the message names file, column and fix.
    """
    folder = Path(source)
    if not folder.exists():
        raise NotFound(f"{folder}: no such folder")
    if not folder.is_dir():
        raise InvalidInput(str(folder), "is a file; name the folder that holds the events file")
    if (folder / movielens.EVENTS_FILE).exists():
        return movielens.read_movielens(folder)
    if (folder / online_retail.RETAIL_FILE).exists():
        return online_retail.read_online_retail(folder)
    if (folder / amazon.ITEMS_FILE).exists() and (folder / amazon.EVENTS_FILE).exists():
        return amazon.read_amazon(folder)
    return read_dataset(folder)
