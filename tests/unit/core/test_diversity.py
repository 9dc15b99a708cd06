"""Diversity: properties, and a plain Python oracle of maximal marginal relevance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.diversity import diversify
from unbraid_core.types import FloatArray, History, IntArray, Query

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

seeds = st.integers(0, 2**32 - 1)
diversities = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.0, 1.0))
GENRES = ["drama", "comedy", "war", "noir", "crime"]


@dataclass(frozen=True)
class Shelf:
    """A catalogue, and candidates in the order of their scores."""

    vectors_ID: FloatArray
    names: list[list[str]]
    row_C: IntArray

    @classmethod
    def draw(cls, seed: int, *, several: bool = True) -> Shelf:
        rng = np.random.default_rng(seed)
        item_count = int(rng.integers(1, 30))
        vectors_ID = rng.normal(size=(item_count, 6))
        vectors_ID /= np.linalg.norm(vectors_ID, axis=1, keepdims=True)
        counts = rng.integers(0, 4, item_count) if several else np.ones(item_count, np.int64)
        names = [rng.choice(GENRES, count, replace=False).tolist() for count in counts]
        row_C = rng.permutation(item_count)[: rng.integers(0, item_count + 1)]
        return cls(vectors_ID.astype(np.float32), names, row_C)

    @property
    def categories(self) -> Categories | None:
        return Categories.of(Catalogue.of([str(row) for row in range(len(self.names))], categories=self.names))

    def choose(self, diversity: float, limit: int) -> list[int]:
        return [*map(int, diversify(self.row_C, diversity, limit, self.vectors_ID, self.categories))]

    def similarity(self, one: int, other: int) -> float:
        first, second = (set(self.names[self.row_C[position]]) for position in (one, other))
        cosine = float(np.dot(*(self.vectors_ID[self.row_C[position]].astype(np.float64) for position in (one, other))))
        if not any(self.names):
            return cosine
        return (cosine + len(first & second) / math.sqrt(max(len(first), 1) * max(len(second), 1))) / 2

    def value(self, position: int, before: list[int], diversity: float) -> float:
        redundancy = max([0.0, *(self.similarity(position, each) for each in before)])
        relevance = 1 - math.log(1 + position) / math.log(1 + len(self.row_C))
        return (1 - diversity) * relevance - diversity * redundancy


@given(seed=seeds, limit=st.integers(0, 40))
def test_0_is_the_order_of_the_scores(seed: int, limit: int) -> None:
    shelf = Shelf.draw(seed)
    assert shelf.choose(0.0, limit) == list(range(min(limit, len(shelf.row_C))))


@given(seed=seeds, diversity=diversities, limit=st.integers(0, 40))
def test_nothing_is_dropped_or_doubled_and_the_best_item_stays_first(seed: int, diversity: float, limit: int) -> None:
    shelf = Shelf.draw(seed)
    chosen = shelf.choose(diversity, limit)
    assert len(chosen) == len(set(chosen)) == min(limit, len(shelf.row_C))
    assert chosen == [] or chosen[0] == 0


@given(seed=seeds, diversity=diversities, limit=st.integers(1, 40))
def test_every_choice_is_the_best_of_what_is_left(seed: int, diversity: float, limit: int) -> None:
    shelf = Shelf.draw(seed)
    chosen = shelf.choose(diversity, limit)
    for rank, position in enumerate(chosen):
        left = [each for each in range(len(shelf.row_C)) if each not in chosen[:rank]]
        best = max(shelf.value(each, chosen[:rank], diversity) for each in left)
        assert shelf.value(position, chosen[:rank], diversity) >= best - 1e-6


@given(seed=seeds, diversity=diversities, limit=st.integers(1, 40), fewer=st.integers(0, 40))
def test_a_shorter_list_is_the_head_of_a_longer_one(seed: int, diversity: float, limit: int, fewer: int) -> None:
    shelf = Shelf.draw(seed)
    assert shelf.choose(diversity, min(limit, fewer)) == shelf.choose(diversity, limit)[:fewer]


@given(seed=seeds, diversity=diversities)
def test_equal_questions_have_equal_answers(seed: int, diversity: float) -> None:
    assert Shelf.draw(seed).choose(diversity, 20) == Shelf.draw(seed).choose(diversity, 20)


@given(seed=seeds)
def test_1_has_no_category_twice_before_every_category_was_there(seed: int) -> None:
    """With vectors that are all alike and one category an item, only categories can tell items apart."""
    shelf = Shelf.draw(seed, several=False)
    alike_ID = np.tile(np.eye(1, 6, dtype=np.float32), (len(shelf.names), 1))
    shelf = replace(shelf, vectors_ID=alike_ID)
    kinds = [shelf.names[shelf.row_C[position]][0] for position in shelf.choose(1.0, 30)]
    assert len(set(kinds[: len(set(kinds))])) == len(set(kinds))


@given(seed=seeds, diversity=diversities)
def test_without_categories_vectors_alone_decide(seed: int, diversity: float) -> None:
    shelf = Shelf.draw(seed)
    bare = replace(shelf, names=[[] for _ in shelf.names])
    assert bare.categories is None
    chosen = bare.choose(diversity, 30)
    for rank, position in enumerate(chosen):
        best = max(bare.value(each, chosen[:rank], diversity) for each in set(range(len(chosen))) - set(chosen[:rank]))
        assert bare.value(position, chosen[:rank], diversity) >= best - 1e-6


def test_by_hand() -> None:
    """Five candidates with orthogonal vectors: a drama, a drama, a comedy, a drama and comedy, and one of no kind."""
    names = [["drama"], ["drama"], ["comedy"], ["drama", "comedy"], []]
    shelf = Shelf(np.eye(5, dtype=np.float32), names, np.arange(5))
    # The first drama makes the second .5 redundant and the mixed one .35; then the comedy does no more to the latter.
    assert shelf.choose(1.0, 5) == [0, 2, 4, 3, 1]
    assert shelf.choose(0.5, 5) == [0, 2, 1, 4, 3]
    assert shelf.choose(0.1, 5) == [0, 1, 2, 3, 4]


@given(seed=seeds, diversity=st.floats(0.01, 1.0))
def test_the_pipeline_changes_the_order_and_never_what_is_said_of_an_item(
    make_world: MakeWorld, seed: int, diversity: float
) -> None:
    pipeline, (query,) = make_world(seed)
    item_count = len(pipeline.item_vectors_ID)
    names = [[GENRES[row % 5]] for row in range(item_count)]
    pipeline = replace(
        pipeline, categories=Categories.of(Catalogue.of([*map(str, range(item_count))], categories=names))
    )
    everything = replace(query, limit=item_count)
    (plain,) = pipeline.recommend([everything])
    (diverse,) = pipeline.recommend([replace(everything, diversity=diversity)])
    assert sorted(diverse.row_R.tolist()) == sorted(plain.row_R.tolist())
    place = {row: position for position, row in enumerate(plain.row_R.tolist())}
    order_R = np.array([place[row] for row in diverse.row_R.tolist()], np.int64)
    for name in ("score_R", "interest_R", "source_R"):
        np.testing.assert_array_equal(getattr(diverse, name), getattr(plain, name)[order_R])
    np.testing.assert_array_equal(diverse.terms.affinity_R, plain.terms.affinity_R[order_R])
    assert diverse.removed == plain.removed


def test_who_has_no_history_gets_popular_items_that_differ(make_world: MakeWorld) -> None:
    pipeline, (query,) = make_world(5)
    item_count = len(pipeline.item_vectors_ID)
    names = [[GENRES[0]] for _ in range(item_count)]
    names[int(pipeline.popular_row_I[:][-1])] = [GENRES[1]]
    alike_ID = np.tile(pipeline.item_vectors_ID[:1], (item_count, 1))
    roomy = replace(pipeline.scoring, candidate_count=item_count)
    categories = Categories.of(Catalogue.of([*map(str, range(item_count))], categories=names))
    pipeline = replace(pipeline, item_vectors_ID=alike_ID, categories=categories, scoring=roomy)
    nobody = Query(History.empty(), query.now_s, limit=2)
    (plain, diverse) = pipeline.recommend([nobody, replace(nobody, diversity=1.0)])
    assert plain.row_R.tolist() == pipeline.popular_row_I[:2].tolist()
    assert diverse.row_R.tolist() == pipeline.popular_row_I[:][[0, -1]].tolist()


@pytest.mark.parametrize("diversity", [0.0, 0.4, 1.0])
def test_no_candidates_no_choice(diversity: float) -> None:
    shelf = Shelf(np.eye(3, dtype=np.float32), [["drama"], [], []], np.empty(0, np.int64))
    assert shelf.choose(diversity, 10) == []
