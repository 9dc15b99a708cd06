"""Releases to publish and damage, and pipelines over an encoder whose every number is exact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from unbraid_core.attributes import Attributes
from unbraid_core.catalogue import Catalogue
from unbraid_core.filter import AttributeKind, Filter, Match, RangeCondition, TextCondition
from unbraid_core.pipeline import Pipeline
from unbraid_core.release import ReleaseManifest, ReleaseStore, Staging, open_release, publish_release
from unbraid_core.types import FloatArray, History, HistoryBatch, InterestBatch, Query, Scoring
from unbraid_index.exact import ExactSearcher

NOW_S = 1.7e9
HOUR_S = 3_600.0
MONTH_S = 30 * 86_400.0

Publish = Callable[[Path, int], ReleaseManifest]
MakeWorld = Callable[..., tuple[Pipeline, list[Query]]]


@pytest.fixture
def release_folder(tmp_path: Path, release_v1: Path) -> Path:
    """A copy of the fixture release, to be damaged."""
    return Path(shutil.copytree(release_v1, tmp_path / "release-v1"))


@pytest.fixture(scope="session")
def publish(release_v1: Path) -> Publish:
    """Publishes the content of the fixture under a root once more, as a release made on a given day of 2026."""
    source = open_release(release_v1)

    def publish_on(root: Path, day: int) -> ReleaseManifest:
        created_time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
        with Staging(root) as staging:
            return publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)

    return publish_on


@pytest.fixture
def store(tmp_path: Path, publish: Publish) -> ReleaseStore:
    """A store with the releases of the first three days; none is active."""
    root = tmp_path / "releases"
    for day in (1, 2, 3):
        publish(root, day)
    return ReleaseStore(root)


class NearestEncoder:
    """A small real Encoder: K fixed directions share out each event, and an interest is the event that it owns most.

    An interest is one of the item vectors as they came in, so inner products with it stay exact. An action of a larger
    index makes an event more decided.
    """

    def __init__(self, direction_KD: FloatArray) -> None:
        self._direction_KD = direction_KD.astype(np.float64)

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        B, L, D = batch.item_vectors_BLD.shape
        K = len(self._direction_KD)
        answer = InterestBatch(np.zeros((B, K, D), np.float32), np.zeros((B, K, L), np.float32))
        for b, mask_L in enumerate(batch.mask_BL):
            vectors_ND = batch.item_vectors_BLD[b, mask_L]
            weight_NK = np.exp((1.0 + batch.action_BL[b, mask_L, None]) * (vectors_ND @ self._direction_KD.T))
            share_NK = weight_NK / weight_NK.sum(axis=1, keepdims=True)
            answer.assignment_BKL[b][:, mask_L] = share_NK.T
            answer.vectors_BKD[b] = vectors_ND[share_NK.argmax(axis=0)]
        return answer


def unit_vectors(rng: np.random.Generator, count: int) -> FloatArray:
    """Vectors of eight coordinates, four of them 1/2 or -1/2: of unit length, with exact and often equal products."""
    kept_ND = rng.permuted(np.tile([1.0] * 4 + [0.0] * 4, (count, 1)), axis=1)
    vectors_ND: FloatArray = (kept_ND * rng.choice([-0.5, 0.5], (count, 8))).astype(np.float32)
    return vectors_ND


def draw_scoring(rng: np.random.Generator) -> Scoring:
    return Scoring(
        temperature=float(rng.choice([0.05, 0.1, 1.0])),
        beta=float(rng.choice([0.0, 0.5, 2.0])),
        gamma=float(rng.choice([0.0, 0.5, 1.0])),
        delta=float(rng.choice([0.0, 1.0, 8.0])),
        own_half_life_s=float(rng.uniform(HOUR_S, MONTH_S)),
        popularity_half_life_s=MONTH_S,
        candidate_count=int(rng.integers(1, 40)),
        quota_alpha=float(rng.choice([0.0, 0.5, 1.0])),
        quota_min=int(rng.integers(1, 6)),
        mixture=bool(rng.integers(2)),
    )


def draw_attributes(rng: np.random.Generator, item_count: int) -> Catalogue:
    """Items of up to three kinds each, with a price."""
    return Catalogue.of(
        [str(row) for row in range(item_count)],
        categories=[rng.choice(["a", "b", "c"], rng.integers(0, 4)).tolist() for _ in range(item_count)],
        attributes={"price": pa.array(rng.integers(0, 10, item_count))},
    )


def draw_filter(rng: np.random.Generator) -> Filter:
    """One or two conditions, from most items to none."""
    match = list(Match)[rng.integers(3)]
    of_kinds = TextCondition("categories", match, tuple(rng.choice(["a", "b", "c", "d"], rng.integers(1, 4)).tolist()))
    in_range = RangeCondition("price", AttributeKind.NUMBER, float(rng.integers(0, 10)), most_excluded=True)
    return Filter(((of_kinds,), (in_range,), (of_kinds, in_range))[rng.integers(3)])


def draw_query(rng: np.random.Generator, item_count: int) -> Query:
    """Somebody with up to 12 events, some of them ahead of the clock, who may block or filter part of the catalogue."""
    event_count = int(rng.integers(0, 13))
    history = History(
        row_N=rng.integers(0, item_count, event_count),
        time_s_N=np.sort(NOW_S - np.floor(rng.uniform(-HOUR_S, MONTH_S, event_count))),
        action_N=rng.integers(0, 3, event_count),
    )
    return Query(
        history=history,
        now_s=NOW_S,
        limit=int(rng.integers(1, item_count + 3)),
        include_seen=bool(rng.integers(2)),
        excluded_row_X=rng.integers(0, item_count, rng.integers(0, 6)),
        filter=draw_filter(rng) if rng.random() < 0.5 else None,
        allowed_row_A=rng.integers(0, item_count, rng.integers(0, 30)) if rng.random() < 0.2 else None,
    )


@pytest.fixture(scope="session")
def make_world() -> MakeWorld:
    """Draws a catalogue of up to 40 items with a pipeline over it, and queries to ask."""

    def make(seed: int, query_count: int = 1) -> tuple[Pipeline, list[Query]]:
        rng = np.random.default_rng(seed)
        item_vectors_ID = unit_vectors(rng, int(rng.integers(1, 41)))
        item_count, interest_count = len(item_vectors_ID), int(rng.integers(1, 5))
        # Few different values, so that there are ties.
        log_popularity_I = rng.choice(rng.normal(-5.0, 2.0, 8), item_count).astype(np.float32)
        pipeline = Pipeline(
            encoder=NearestEncoder(unit_vectors(rng, interest_count)),
            searcher=ExactSearcher(item_vectors_ID),
            item_vectors_ID=item_vectors_ID,
            log_popularity_I=log_popularity_I,
            popular_row_I=np.lexsort((np.arange(item_count), -log_popularity_I)),
            half_life_s_K=np.exp(rng.uniform(np.log(12 * HOUR_S), np.log(12 * MONTH_S), interest_count)),
            scoring=draw_scoring(rng),
            max_history=int(rng.integers(1, 11)),
            attributes=Attributes.of(draw_attributes(rng, item_count)),
        )
        return pipeline, [draw_query(rng, item_count) for _ in range(query_count)]

    return make
