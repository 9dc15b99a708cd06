from __future__ import annotations

from unbraid_core.counted import counted


def test_one_thing_is_no_plural() -> None:
    assert [counted(count, "item") for count in (0, 1, 2500)] == ["0 items", "1 item", "2,500 items"]
    assert [counted(count, "query", "queries") for count in (1, 2)] == ["1 query", "2 queries"]
