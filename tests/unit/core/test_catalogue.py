"""The catalogue: what goes into the file comes out of it, and ids find their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IntegrityError

ATTRIBUTES: dict[str, pa.Array[Any]] = {
    "year": pa.array([1996, None, 2001], pa.int32()),
    "price": pa.array([9.5, 0.0, None], pa.float64()),
    "added": pa.array([0, 1, 2], pa.timestamp("s", "UTC")),
    "colours": pa.array([["red"], [], ["blue", "green"]], pa.list_(pa.string())),
}


@pytest.fixture
def films() -> Catalogue:
    return Catalogue.of(
        ["fargo", "kolya", "émigré 7"],
        ["Fargo (1996)", "", "L'Émigré"],
        [["crime", "drama"], [], ["drama"]],
        ATTRIBUTES,
    )


def test_a_file_gives_the_catalogue_back(films: Catalogue, tmp_path: Path) -> None:
    films.write(tmp_path / "items.arrow")
    opened = Catalogue.open(tmp_path / "items.arrow")
    assert opened.table.equals(films.table)
    assert opened.table.schema.equals(films.table.schema)
    assert opened.item_ids == films.item_ids
    assert opened.table.column("year").to_pylist() == [1996, None, 2001]


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(names, st.tuples(names, st.lists(names, max_size=3)), max_size=8))
def test_any_names_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, items: dict[str, tuple[str, list[str]]]
) -> None:
    path = tmp_path_factory.mktemp("catalogue") / "items.arrow"
    Catalogue.of([*items], [title for title, _ in items.values()], [names for _, names in items.values()]).write(path)
    opened = Catalogue.open(path)
    assert len(opened) == len(items)
    for row, (item_id, (title, categories)) in enumerate(items.items()):
        assert opened.row(item_id) == row
        assert (opened.title(row), opened.categories(row)) == (title, categories)


def test_ids_find_their_rows_and_unknown_ones_have_none(films: Catalogue) -> None:
    assert films.row("kolya") == 1
    assert films.row("Kolya") == -1
    row_N = films.rows(["émigré 7", "nobody", "fargo", "fargo", ""])
    assert row_N.dtype == np.int64
    assert row_N.tolist() == [2, -1, 0, 0, -1]
    assert films.rows([]).shape == (0,)


def test_titles_and_categories_of_many_rows_are_those_of_each(films: Catalogue) -> None:
    rows = np.array([2, 0, 0, 1])
    assert films.titles(rows) == [films.title(int(row)) for row in rows]
    assert films.category_lists(rows) == [films.categories(int(row)) for row in rows]


def test_what_is_not_given_is_empty_and_so_is_a_null(tmp_path: Path) -> None:
    bare = Catalogue.of(["a", "b"])
    assert bare.titles(np.arange(2)) == ["", ""]
    assert bare.category_lists(np.arange(2)) == [[], []]
    columns = {
        "item_id": pa.array(["a"]),
        "title": pa.array([None], pa.string()),
        "categories": pa.array([None], pa.list_(pa.string())),
    }
    Catalogue(pa.table(columns)).write(tmp_path / "items.arrow")
    nulls = Catalogue.open(tmp_path / "items.arrow")
    assert (nulls.title(0), nulls.categories(0)) == ("", [])
    assert (nulls.titles(np.array([0])), nulls.category_lists(np.array([0]))) == ([""], [[]])


def test_taken_rows_keep_everything_in_their_new_order(films: Catalogue) -> None:
    taken = films.take(np.array([2, 0]))
    assert taken.item_ids == ["émigré 7", "fargo"]
    assert taken.rows(["fargo", "kolya", "émigré 7"]).tolist() == [1, -1, 0]
    assert taken.titles(np.arange(2)) == ["L'Émigré", "Fargo (1996)"]
    assert taken.table.column("colours").to_pylist() == [["blue", "green"], ["red"]]
    assert taken.table.schema.equals(films.table.schema)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"item_id": pa.array(["a", "a"])}, "column 'item_id' has a null or repeated id"),
        ({"item_id": pa.array(["a", None])}, "column 'item_id' has a null or repeated id"),
        ({"item_id": pa.array([1, 2])}, "column 'item_id' of type string is missing"),
        ({"title": pa.array([1, 2])}, "column 'title' of type string is missing"),
        ({"categories": pa.array(["x", "y"])}, "column 'categories' of type list<"),
    ],
)
def test_a_table_that_is_no_catalogue_is_refused(change: dict[str, pa.Array[Any]], problem: str) -> None:
    table = Catalogue.of(["a", "b"]).table
    for name, column in change.items():
        table = table.set_column(table.column_names.index(name), name, column)
    with pytest.raises(IntegrityError, match=problem):
        Catalogue(table)


def test_a_table_without_titles_is_refused() -> None:
    with pytest.raises(IntegrityError, match="column 'title' of type string is missing"):
        Catalogue(Catalogue.of(["a", "b"]).table.drop_columns(["title"]))


@pytest.mark.parametrize("content", [b"", b"item_id,title\n", b"ARROW1\0\0" + b"\xff" * 200])
def test_a_file_that_is_not_arrow_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.arrow"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"^items\.arrow: not an Arrow file"):
        Catalogue.open(path)


def test_a_truncated_file_is_refused(films: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "items.arrow"
    films.write(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match=r"items\.arrow"):
        Catalogue.open(path)


def test_an_arrow_file_of_something_else_is_refused(tmp_path: Path) -> None:
    table = pa.table({"colour": ["red"]})
    with pa.OSFile(str(tmp_path / "items.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(IntegrityError, match="catalogue: column 'item_id' of type string is missing"):
        Catalogue.open(tmp_path / "items.arrow")
