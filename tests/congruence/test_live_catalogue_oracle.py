"""Two processes' views of a changing catalogue against a plain dictionary of what there should be.

The views share a SQLite file as two servers do, each with a store and a model of its own. Changes come through either;
either is restarted at any moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.types import FloatArray, Query
from unbraid_server.active_model import ActiveModel
from unbraid_server.model import Model
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

KNOWN = [f"k{n:02}" for n in range(6)]
known_ids = st.sampled_from(KNOWN)
item_ids = st.sampled_from([*KNOWN, *(f"new-{n}" for n in range(6))])
views = st.sampled_from([0, 1])


@dataclass
class Expected:
    """What the oracle knows of a living item."""

    title: str
    vector_D: FloatArray


class View:
    """What a server has open."""

    def __init__(self, released: Model, folder: Path) -> None:
        self.store = SqliteCatalogueStore(folder / "catalogue.sqlite")
        self.active = ActiveModel(released, self.store)


class ChangingCatalogue(RuleBasedStateMachine):
    """Upserts, deletions and restarts in any order; after each, both views search and list as the oracle says."""

    released: Model

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        self.views = [View(self.released, Path(self.folder.name)) for _ in range(2)]
        catalogue, rows = self.released.catalogue, np.arange(len(self.released.catalogue))
        vectors_ID = self.released.released.item_vectors_ID[:]
        titles = catalogue.titles(rows)
        self.home = dict(zip(catalogue.ids(rows), vectors_ID, strict=True))
        self.living = {
            item_id: Expected(title, vector_D)
            for (item_id, vector_D), title in zip(self.home.items(), titles, strict=True)
        }
        self.number = 0

    @rule(view=views, ids=st.lists(item_ids, min_size=1, max_size=4, unique=True))
    def upsert_with_vectors(self, view: int, ids: list[str]) -> None:
        changes = []
        for item_id in ids:
            self.number += 1
            vector_D = np.random.default_rng(self.number).normal(size=8).astype(np.float32)
            vector_D /= np.linalg.norm(vector_D)
            expected = self.living[item_id] = Expected(f"version {self.number}", vector_D)
            vector = ItemVector(self.released.space_id, vector_D)
            changes.append(ItemChange(item_id, Item(item_id, expected.title), vector))
        self.views[view].active.change(changes)

    @rule(view=views, item_id=known_ids)
    def upsert_without_a_vector(self, view: int, item_id: str) -> None:
        self.number += 1
        where = self.living[item_id].vector_D if item_id in self.living else self.home[item_id]
        self.living[item_id] = Expected(f"version {self.number}", where)
        self.views[view].active.change([ItemChange(item_id, Item(item_id, f"version {self.number}"))])

    @rule(view=views, ids=st.lists(item_ids, min_size=1, max_size=4, unique=True))
    def delete(self, view: int, ids: list[str]) -> None:
        for item_id in ids:
            self.living.pop(item_id, None)
        self.views[view].active.change([ItemChange(item_id, None) for item_id in ids])

    @rule(view=views)
    def restart(self, view: int) -> None:
        self.views[view].store.close()
        self.views[view] = View(self.released, Path(self.folder.name))

    @invariant()
    def searches_agree(self) -> None:
        query_QD = np.random.default_rng(self.number).normal(size=(2, 8)).astype(np.float32)
        vectors_SD = np.array([known.vector_D for known in self.living.values()])
        for model in (view.active.follow() for view in self.views):
            for count in (1, 7, 100):
                hits = model.pipeline.searcher.search(query_QD, count)
                for row_C, score_C, query_D in zip(hits.row_QC, hits.score_QC, query_QD, strict=True):
                    found = model.catalogue.ids(row_C[row_C >= 0])
                    assert len(found) == min(count, len(self.living))
                    best = np.sort(vectors_SD @ query_D)[::-1][:count]
                    np.testing.assert_allclose(score_C[: len(found)], best, rtol=1e-4, atol=1e-5)
                    own = [float(self.living[item_id].vector_D @ query_D) for item_id in found]
                    np.testing.assert_allclose(score_C[: len(found)], own, rtol=1e-4, atol=1e-5)

    @invariant()
    def listings_agree(self) -> None:
        expected = sorted(self.living)
        for model in (view.active.follow() for view in self.views):
            catalogue = model.catalogue
            rows = np.array(catalogue.page("", 100))
            assert len(catalogue) == len(expected)
            assert catalogue.ids(rows) == expected
            assert catalogue.titles(rows) == [self.living[item_id].title for item_id in expected]
            assert [catalogue.row(item_id) for item_id in expected] == rows.tolist()
            everybody = model.history([], [], [], None).history
            [ranking] = model.pipeline.recommend([Query(everybody, 0.0, 100)])
            assert sorted(catalogue.ids(ranking.row_R)) == expected

    def teardown(self) -> None:
        for view in self.views:
            view.store.close()
        self.folder.cleanup()


def test_any_order_of_changes_agrees_with_the_oracle(model_v1: Model) -> None:
    machine = type("Machine", (ChangingCatalogue,), {"released": model_v1})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=10, deadline=None))
