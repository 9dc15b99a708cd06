"""A release with changes, and the release that a rebuild makes of both: they answer alike."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.release import ReleaseStore, open_release
from unbraid_core.types import Profile, Query
from unbraid_index.release_build import rebuild_release
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

NOW = datetime(2026, 7, 1, tzinfo=UTC)
NOW_S = NOW.timestamp()
OLD_IDS = [f"{letter}{number:02}" for letter in "kc" for number in range(12)]
NEW_IDS = ["new-1", "new-2", "new-3"]
# Reads of the same numbers out of other rows: sums are taken in another order.
TOLERANCE = 1e-4


@st.composite
def change(draw: st.DrawFn) -> ItemChange:
    item_id = draw(st.sampled_from(OLD_IDS + NEW_IDS))
    if draw(st.booleans()):
        return ItemChange(item_id, None)
    item = Item(item_id, draw(st.sampled_from(["a title", ""])), tuple(draw(st.sets(st.sampled_from("xy")))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    vector_D = rng.normal(size=8).astype(np.float32)
    vector = ItemVector("", vector_D / np.linalg.norm(vector_D))
    return ItemChange(item_id, item, vector if draw(st.booleans()) else None)


def in_space(drawn: ItemChange, space_id: str) -> ItemChange:
    vector = drawn.vector and ItemVector(space_id, drawn.vector.vector_D)
    return ItemChange(drawn.item_id, drawn.item, vector)


def answers(model: Model, known: list[str]) -> list[dict[str, float]]:
    """For histories of items that are still there, with profile formula: the best items and their scores."""
    rng = np.random.default_rng(5)
    times_s = [NOW_S - 86_400.0 * day for day in range(9, 0, -1)]
    histories = [[], *(list(rng.choice(known, rng.integers(1, 9))) for _ in range(4))] if known else [[]]
    asked = [
        Query(
            model.history(ids, times_s[: len(ids)], [""] * len(ids), None).history,
            NOW_S,
            10,
            include_seen=include_seen,
            profile=Profile.FORMULA,
        )
        for ids in histories
        for include_seen in (False, True)
    ]
    return [
        dict(zip(model.catalogue.ids(ranking.row_R), map(float, ranking.score_R), strict=True))
        for ranking in model.pipeline.recommend(asked)
    ]


def learned_of(model: Model, known: list[str], item_id: str) -> list[float]:
    """What the ranker reads of an item: statistics, factors, and how well each known item goes together with it."""
    inputs = model.pipeline.ranker_inputs
    assert inputs is not None
    row_I, row = model.catalogue.rows(known), model.catalogue.row(item_id)
    factors = model.delta.released.ranker_inputs.factors.vector_IF  # type: ignore[union-attr]  # as above
    behind = row - len(factors)
    factor_F = factors[row] if behind < 0 else model.delta.added.factor_NF[behind]
    together_I = inputs.neighbours.score(model.history([item_id], [NOW_S], [""], None).history, NOW_S)[row_I]
    return [*inputs.statistics.value_IS[np.array([row])][0], *factor_F, *together_I]


@pytest.mark.parametrize("fixture", ["release_v1", "release_learned"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(change(), min_size=1, max_size=12))
def test_a_rebuild_answers_like_the_release_and_its_changes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fixture: str, drawn: list[ItemChange]
) -> None:
    folder: Path = request.getfixturevalue(fixture)
    root = tmp_path_factory.mktemp("folding")
    base = open_release(folder)
    shutil.copytree(folder, root / base.manifest.release_id)
    store = ReleaseStore(root)
    catalogue = SqliteCatalogueStore(root / "catalogue.sqlite")
    sequence = catalogue.apply([in_space(each, base.manifest.space_id) for each in drawn])
    live = load_model(base, Device.CPU).with_changes(catalogue.changes(0))

    built = rebuild_release(store, base.manifest.release_id, None, NOW, 0.99, live_catalogue=catalogue)
    folded = load_model(store.open(built.manifest.release_id), Device.CPU)

    assert built.manifest.catalogue_sequence == sequence
    assert len(folded.catalogue) == len(live.catalogue)
    known = sorted({each for each in OLD_IDS + NEW_IDS if folded.catalogue.row(each) >= 0})
    for item_id in known:
        there, here = (model.catalogue.item(model.catalogue.row(item_id)) for model in (live, folded))
        assert here == there
    for before, after in zip(answers(live, known), answers(folded, known), strict=True):
        assert set(before) == set(after)
        assert [after[item_id] for item_id in before] == pytest.approx(list(before.values()), abs=TOLERANCE)
    if folded.pipeline.ranker_inputs is not None:
        for item_id in known:
            assert learned_of(folded, known, item_id) == pytest.approx(learned_of(live, known, item_id), abs=TOLERANCE)
    assert built.folding is not None
    assert built.folding.homeless_count == len(live.delta.homeless)
    catalogue.close()


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    release_id = open_release(release_v1).manifest.release_id
    shutil.copytree(release_v1, tmp_path / release_id)
    releases = ReleaseStore(tmp_path)
    releases.activate(release_id, NOW)
    return releases


@pytest.fixture
def catalogue(tmp_path: Path) -> SqliteCatalogueStore:
    return SqliteCatalogueStore(tmp_path / "catalogue.sqlite")


def test_changes_are_folded_in_once_and_the_number_is_handed_down(
    store: ReleaseStore, catalogue: SqliteCatalogueStore
) -> None:
    catalogue.apply([ItemChange("k00", None), ItemChange("k01", None)])
    first = rebuild_release(store, None, None, NOW, 0.99, live_catalogue=catalogue)
    again = rebuild_release(store, first.manifest.release_id, None, NOW + timedelta(1), 0.99, live_catalogue=catalogue)
    without = rebuild_release(store, again.manifest.release_id, None, NOW + timedelta(2), 0.99)
    assert first.folding is not None
    assert (first.folding.deleted_count, first.report.item_count) == (2, 22)
    assert again.folding is None
    assert {each.manifest.catalogue_sequence for each in (first, again, without)} == {2}


def test_a_catalogue_without_any_item_is_not_published(store: ReleaseStore, catalogue: SqliteCatalogueStore) -> None:
    catalogue.apply([ItemChange(item_id, None) for item_id in OLD_IDS])
    with pytest.raises(Conflict, match="all items were deleted"):
        rebuild_release(store, None, None, NOW, 0.99, live_catalogue=catalogue)
    assert len(store.list()) == 1


def test_changes_and_new_items_are_not_mixed(store: ReleaseStore, catalogue: SqliteCatalogueStore) -> None:
    catalogue.apply([ItemChange("k00", None)])
    with pytest.raises(InvalidInput, match="items: the catalogue has changed since the release"):
        rebuild_release(store, None, None, NOW, 0.99, new_items=store.open().catalogue, live_catalogue=catalogue)
