"""What can be written after --filter, and what it stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from unbraid_cli.filter_text import parse_condition
from unbraid_client import AllOf, AnyOf, Condition, IsSet, NoneOf, Numbers, Times
from unbraid_core.errors import InvalidInput

DAY = datetime(2024, 1, 31, tzinfo=UTC)
LATER = DAY + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("categories=Books", AnyOf("categories", ["Books"])),
        (" categories = Books|Pop, Rock ", AnyOf("categories", ["Books", "Pop, Rock"])),
        ("formula=a<b", AnyOf("formula", ["a<b"])),
        ("tags=new&sale", AllOf("tags", ["new", "sale"])),
        ("brand!=Acme|R&D", NoneOf("brand", ["Acme", "R&D"])),
        ("price<20", Numbers("price", below=20.0)),
        ("price <= -2e1", Numbers("price", most=-20.0)),
        ("price>0.5", Numbers("price", above=0.5)),
        ("price>=5", Numbers("price", least=5.0)),
        ("year==2020", Numbers("year", least=2020.0, most=2020.0)),
        ("created_time<2024-01-31", Times("created_time", end=DAY)),
        ("created_time<=2024-01-31", Times("created_time", end=LATER)),
        ("created_time>2024-01-31", Times("created_time", start=LATER)),
        ("created_time>=2024-01-31T01:00+01:00", Times("created_time", start=DAY)),
        ("created_time==2024-01-31", Times("created_time", start=DAY, end=LATER)),
        ("on_sale", IsSet("on_sale")),
        ("!on_sale", IsSet("on_sale", value=False)),
    ],
)
def test_a_text_stands_for_a_condition(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no condition; write for example"),
        ("price=", "'price=' is no condition"),
        ("<5", "'<5' is no condition"),
        ("!!sale", "'!!sale' is no condition"),
        ("a=b|c&d", r"'b\|c&d' mixes \| and &; use --filter twice"),
        ("price<cheap", "'cheap' is no time"),
        ("price<nan", "'nan' is no time"),
    ],
)
def test_a_text_that_stands_for_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"--filter: {problem}"):
        parse_condition(text)
