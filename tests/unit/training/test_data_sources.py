from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from unbraid_core.errors import IntegrityError, InvalidInput, NotFound, Unavailable
from unbraid_core.ports import Event, UserEvent
from unbraid_training.data.events import DUPLICATE_EVENT, UNKNOWN_ITEM, iter_user_events
from unbraid_training.data.movielens import default_cache, fetch_movielens, pleasant_title
from unbraid_training.data.online_retail import CANCELLED, MISSING_CUSTOMER, NO_PRICE, NO_PRODUCT, NO_QUANTITY
from unbraid_training.data.sources import open_dataset

FILMS = """\
item_id:token	movie_title:token_seq	release_year:token	class:token_seq
12	Usual Suspects, The	1995	Crime Thriller
5	unkonwn	unkonwn	unknown
68	A "quoted" title	1994	Drama
"""
RATINGS = """\
user_id:token	item_id:token	rating:float	timestamp:float
196	12	4	881250949
22	68	3	881250940
196	5	5	881250900
196	9	5	881250900
"""


def test_movielens_is_recognised_and_read(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.item").write_text(FILMS)
    (tmp_path / "ml-100k.inter").write_text(RATINGS)
    dataset, report = open_dataset(tmp_path)
    catalogue = dataset.catalogue
    assert [catalogue.title(row) for row in range(3)] == [
        "The Usual Suspects (1995)",
        "unkonwn",
        'A "quoted" title (1994)',
    ]
    assert catalogue.categories(0) == ["Crime", "Thriller"]
    assert catalogue.table.column("release_year").to_pylist() == [1995, None, 1994]
    assert list(iter_user_events(dataset)) == [
        UserEvent("196", Event("5", 881250900, "like")),
        UserEvent("196", Event("12", 881250949, "like")),
        UserEvent("22", Event("68", 881250940, "watch")),
    ]
    assert report.count(UNKNOWN_ITEM) == 1


def test_movielens_ratings_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.item").write_text(FILMS)
    (tmp_path / "ml-100k.inter").write_text(RATINGS.replace("	4	", "	good	"))
    with pytest.raises(InvalidInput, match="column 'rating:float' has type string, expected numbers"):
        open_dataset(tmp_path)


def test_half_of_movielens_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.inter").write_text(RATINGS)
    with pytest.raises(NotFound, match=r"ml-100k.item: no such file"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("title", "year", "pleasant"),
    [
        ("Usual Suspects, The", "1995", "The Usual Suspects (1995)"),
        ("Toy Story", "1995", "Toy Story (1995)"),
        ("Big Blue, The (Grand bleu, Le)", "1988", "The Big Blue (Le Grand bleu) (1988)"),
        ("Star Maker, The (Uomo delle stelle, L')", "1995", "The Star Maker (L'Uomo delle stelle) (1995)"),
        ("Maybe, Maybe Not (Bewegte Mann, Der)", "1994", "Maybe, Maybe Not (Der Bewegte Mann) (1994)"),
        ("Fille seule, La (A Single Girl)", "1995", "La Fille seule (A Single Girl) (1995)"),
        ("I Love You, I Love You Not", "1996", "I Love You, I Love You Not (1996)"),
        ("Giving (1995)", "V", "Giving (1995)"),
    ],
)
def test_titles_are_written_as_one_says_them(title: str, year: str, pleasant: str) -> None:
    assert pleasant_title(title, year) == pleasant


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "unbraid"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "unbraid"


def test_without_a_network_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        Unavailable, match=r"pip cannot download recbole==1.2.1 .* 'unbraid demo --synthetic' .* '--data DIR'"
    ):
        fetch_movielens(tmp_path)


def wheel(folder: Path, members: dict[str, str]) -> None:
    """A package of the right name and version for pip to find."""
    info = "recbole-1.2.1.dist-info"
    with zipfile.ZipFile(folder / "recbole-1.2.1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
        for name, text in members.items():
            archive.writestr(name, text)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "does not hold the expected files"),
        (
            {f"recbole/dataset_example/ml-100k/ml-100k.{kind}": RATINGS for kind in ("inter", "item")},
            "ml-100k.inter of package recbole==1.2.1 is not the expected file",
        ),
    ],
)
def test_files_other_than_expected_never_reach_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, str], message: str
) -> None:
    wheel(tmp_path, members)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(IntegrityError, match=message):
        fetch_movielens(tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


RETAIL_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
RETAIL_ROWS = [
    "1,85123A,WHITE HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "1,85123A,WHITE HOLDER,2,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "2,85123A, CREAM HOLDER ,1,2010-12-02 08:26:00,2.55,17850.0,United Kingdom",
    "3,85123A,CREAM HOLDER,1,2010-12-03 08:26:00,2.55,13047.0,United Kingdom",
    "4,71053,LANTERN,1,2010-12-03 08:26:00,1,,France",
    "C5,71053,LANTERN,1,2010-12-03 08:26:00,1,13047.0,France",
    "6,71053,LANTERN,-1,2010-12-03 08:26:00,1,13047.0,France",
    "7,71053,LANTERN,1,2010-12-03 08:26:00,0,13047.0,France",
    "8,POST,POSTAGE,1,2010-12-03 08:26:00,18,13047.0,France",
]


def test_online_retail_is_recognised_and_cleaned(tmp_path: Path) -> None:
    content = RETAIL_HEADER + "\n".join(RETAIL_ROWS) + "\n"
    (tmp_path / "online_retail.csv.gz").write_bytes(gzip.compress(content.encode()))
    dataset, report = open_dataset(tmp_path)
    assert dataset.user_ids == ["17850", "13047"]
    assert dataset.catalogue.item_ids == ["85123A"]
    assert dataset.catalogue.title(0) == "CREAM HOLDER"
    assert dataset.time_s_E.tolist() == [1291191960, 1291278360, 1291364760]
    reasons = (DUPLICATE_EVENT, MISSING_CUSTOMER, CANCELLED, NO_QUANTITY, NO_PRICE, NO_PRODUCT)
    assert [report.count(reason) for reason in reasons] == [1] * 6


def test_amazon_is_recognised_and_read(tmp_path: Path) -> None:
    (tmp_path / "items.tsv").write_text(
        'item_id\tasin\tshort_text\tattribute_ids\n1\tB01\tnail "lacquer\t17 3\n2\tB02\tshampoo\t\n'
    )
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b"user_id,item_id,timestamp\n9,2,86400\n"))
    dataset, _ = open_dataset(tmp_path)
    assert dataset.catalogue.title(0) == 'nail "lacquer'
    assert [dataset.catalogue.categories(row) for row in (0, 1)] == [["17", "3"], []]
    assert dataset.catalogue.table.column("asin").to_pylist() == ["B01", "B02"]
    assert list(iter_user_events(dataset)) == [UserEvent("9", Event("2", 86400))]
