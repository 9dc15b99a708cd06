"""Filters over a catalogue that has changed: items are filtered by what they are now."""

from __future__ import annotations

import pytest

from unbraid_core.filter import AttributeKind, Condition, Filter, Match, RangeCondition, TextCondition
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.types import Profile, Query
from unbraid_server.model import Model

NOW_S = 1.7e9
PROFILES = [Profile.FORMULA, Profile.LEARNED]


@pytest.fixture
def model(model_learned: Model) -> Model:
    """A kettle became dear, a teapot is gone, and a new kitchen thing came; the others cost 500, 600, ... cents."""
    changes = [
        ItemChange("k00", Item("k00", "kettle", ("kitchen",), {"price_cents": 9_000}), sequence=1),
        ItemChange("k01", None, sequence=2),
        ItemChange(
            "new",
            Item("new", "whisk", ("kitchen", "sale"), {"price_cents": 510}),
            ItemVector(model_learned.space_id, model_learned.released.item_vectors_ID[:][5]),
            sequence=3,
        ),
    ]
    return model_learned.with_changes(changes)


def matching(model: Model, profile: Profile, *conditions: Condition, seen: tuple[str, ...]) -> set[str]:
    known = model.history(seen, [NOW_S - 60.0] * len(seen), [""] * len(seen), None)
    query = Query(known.history, NOW_S, 50, include_seen=True, profile=profile, filter=Filter(conditions))
    [ranking] = model.pipeline.recommend([query])
    assert ranking.matching_count == ranking.allowed_count == len(ranking.row_R)
    return set(model.catalogue.ids(ranking.row_R))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seen", [(), ("k00", "k03")])
def test_items_are_filtered_by_what_they_are_now(model: Model, profile: Profile, seen: tuple[str, ...]) -> None:
    kitchen = TextCondition("categories", Match.ANY, ("kitchen",))
    cheap = RangeCondition("price_cents", AttributeKind.NUMBER, most=800.0)
    dear = RangeCondition("price_cents", AttributeKind.NUMBER, least=5_000.0)
    assert matching(model, profile, kitchen, cheap, seen=seen) == {"k02", "k03", "new"}
    assert matching(model, profile, dear, seen=seen) == {"k00"}
    assert matching(model, profile, TextCondition("categories", Match.ANY, ("sale",)), seen=seen) == {"new"}


def test_the_model_before_the_changes_is_filtered_as_before(model: Model, model_learned: Model) -> None:
    cheap = RangeCondition("price_cents", AttributeKind.NUMBER, most=700.0)
    assert matching(model, Profile.FORMULA, cheap, seen=()) == {"k02", "new"}
    assert matching(model_learned, Profile.FORMULA, cheap, seen=()) == {"k00", "k01", "k02"}
