"""A model whose catalogue has changed, against a plain dictionary of what there should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.types import FloatArray, History, Profile, Query, Source
from unbraid_server.model import Model

NOW_S = 1.7e9
OTHER_SPACE = "another-space"


def unit(numbers: Sequence[float]) -> FloatArray:
    vector_D = np.array(numbers, np.float32)
    unit_D: FloatArray = vector_D / np.linalg.norm(vector_D)
    return unit_D


def upsert(model: Model, item_id: str, seed: int | None = None, **said: object) -> ItemChange:
    """A change with a random vector, or without one."""
    if seed is None:
        return ItemChange(item_id, Item(item_id, **said))  # type: ignore[arg-type]  # the names are those of Item
    vector = ItemVector(model.space_id, unit(np.random.default_rng(seed).normal(size=8).tolist()))
    return ItemChange(item_id, Item(item_id, **said), vector)  # type: ignore[arg-type]  # as above


def changed(model: Model, *changes: ItemChange) -> Model:
    first = model.delta.sequence + 1
    return model.with_changes([replace(change, sequence=first + n) for n, change in enumerate(changes)])


def recommended(model: Model, query: Query) -> list[str]:
    [ranking] = model.pipeline.recommend([query])
    return model.catalogue.ids(ranking.row_R)


def history(model: Model, *item_ids: str) -> History:
    return model.history(item_ids, [NOW_S - len(item_ids) + n for n in range(len(item_ids))], [""] * 9, None).history


def everything(model: Model, profile: Profile, *seen: str) -> Query:
    return Query(history(model, *seen), NOW_S, limit=500, include_seen=True, profile=profile)


PROFILES = [Profile.FORMULA, Profile.LEARNED]


def test_a_new_item_is_recommended_to_who_likes_its_like(model_learned: Model) -> None:
    [seen] = model_learned.catalogue.ids(np.array([3]))
    twin = ItemVector(model_learned.space_id, model_learned.released.item_vectors_ID[np.array([3])][0])
    model = changed(model_learned, ItemChange("twin", Item("twin", "the twin", ("new",)), twin))
    query = Query(history(model, seen), NOW_S, limit=3)
    [ranking] = model.pipeline.recommend([query])
    assert "twin" in model.catalogue.ids(ranking.row_R)
    position = model.catalogue.ids(ranking.row_R).index("twin")
    assert ranking.source_R[position] & Source.INTERESTS
    assert model.catalogue.titles(ranking.row_R)[position] == "the twin"
    assert model.catalogue.category_lists(ranking.row_R)[position] == ["new"]
    assert "twin" not in recommended(model_learned, query)


def test_rows_say_the_same_alone_and_together(model_learned: Model) -> None:
    new = [upsert(model_learned, f"new {n}", seed=n, title="x" * n, categories=("a", "b")[:n]) for n in range(3)]
    catalogue = changed(model_learned, *new).catalogue
    rows = np.random.default_rng(0).permutation(len(catalogue))
    for said in (catalogue.ids, catalogue.titles, catalogue.category_lists):
        assert said(rows) == [value for row in rows for value in said(np.array([row]))]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seen", [(), ("k00", "c05")])
def test_a_deleted_item_never_comes_back(model_learned: Model, profile: Profile, seen: tuple[str, ...]) -> None:
    gone = ["k00", "k01", "c03"]
    model = changed(model_learned, *(ItemChange(item_id, None) for item_id in gone))
    found = recommended(model, everything(model, profile, *seen))
    assert len(found) == len(model.catalogue) == len(model_learned.catalogue) - 3
    assert not set(gone) & set(found)


def test_events_on_a_deleted_item_still_count(model_v1: Model) -> None:
    model = changed(model_v1, ItemChange("k00", None))
    before, after = (recommended(each, everything(each, Profile.FORMULA, "k00", "k02")) for each in (model_v1, model))
    assert after == [item_id for item_id in before if item_id != "k00"]


@pytest.mark.parametrize("profile", PROFILES)
def test_saying_something_else_about_an_item_changes_no_answer(model_learned: Model, profile: Profile) -> None:
    model = changed(model_learned, *(upsert(model_learned, f"k{n:02}", title="sale") for n in range(6)))
    before, after = (
        recommended(each, everything(each, profile, "k00", "c05", "k02")) for each in (model_learned, model)
    )
    assert set(after) == set(before)
    # The ranks are equal but where scores are.
    [one], [other] = (
        each.pipeline.recommend([everything(each, profile, "k00", "c05", "k02")]) for each in (model_learned, model)
    )
    np.testing.assert_allclose(np.sort(one.score_R), np.sort(other.score_R), rtol=1e-5)
    assert model.catalogue.titles(model.catalogue.rows(["k03", "k07"]))[0] == "sale"


def test_an_item_of_another_space_has_no_place_until_it_gets_a_vector(model_v1: Model) -> None:
    stray = ItemChange("stray", Item("stray"), ItemVector(OTHER_SPACE, unit([1.0] * 8)))
    model = changed(model_v1, stray)
    assert model.delta.homeless == {"stray"}
    assert model.catalogue.row("stray") == -1
    model = changed(model, upsert(model, "stray", seed=1))
    assert model.delta.homeless == frozenset()
    assert model.catalogue.row("stray") == len(model_v1.catalogue)


def test_an_item_of_the_release_keeps_its_vector_where_the_new_one_is_of_another_space(model_v1: Model) -> None:
    model = changed(model_v1, ItemChange("k00", Item("k00"), ItemVector(OTHER_SPACE, unit([1.0] * 8))))
    row = model.catalogue.rows(["k00"])
    np.testing.assert_array_equal(
        model.pipeline.item_vectors_ID[row], model_v1.pipeline.item_vectors_ID[model_v1.catalogue.rows(["k00"])]
    )


def test_categories_of_changed_items_take_part_in_diversity(model_v1: Model) -> None:
    model = changed(model_v1, upsert(model_v1, "k00", categories=("brand-new", "jazz")), upsert(model_v1, "x", 5))
    categories = model.pipeline.categories
    assert categories is not None
    row_C = model.catalogue.rows(["k01", "k00", "x"])
    position_N, code_N = categories.pairs(row_C)
    named: list[set[str]] = [set(), set(), set()]
    for position, code in zip(position_N.tolist(), code_N.tolist(), strict=True):
        named[position].add(categories.names[code])
    assert named == [set(names) for names in model.catalogue.category_lists(row_C)]


def test_many_changes_of_few_items_do_not_pile_up(model_v1: Model) -> None:
    model = model_v1
    for start in range(0, 6_000, 100):
        model = changed(model, *(upsert(model, f"n{n % 150}", seed=n) for n in range(start, start + 100)))
    assert len(model.catalogue) == len(model_v1.catalogue) + 150
    assert len(model.delta.added) <= 1_300
    last = [unit(np.random.default_rng(n).normal(size=8).tolist()) for n in range(5_850, 6_000)]
    rows = model.catalogue.rows([f"n{n % 150}" for n in range(5_850, 6_000)])
    np.testing.assert_array_equal(model.pipeline.item_vectors_ID[rows], last)
