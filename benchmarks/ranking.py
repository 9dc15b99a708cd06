"""What ranking costs: profiles formula and learned, stage by stage, on a release of generated numbers.

    OMP_NUM_THREADS=1 python benchmarks/ranking.py [--items 3600] [--history 50] [--batch 16] [--depth 95] [--rounds 30]
        [--head trees] [--trees 100]

Encoder and index are stand-ins (fixed interests, exact search): what is measured is everything behind them. The ranker
is a LightGBM model of trees of 31 leaves, or an interaction network, trained on the features of such queries with
random labels, exported to ONNX and run by ONNX Runtime. Sources of generated numbers hardly agree: a depth of 95 makes
about 500 candidates.
Prints CPU time a request, the median of rounds in which the profiles take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from unbraid_core.calibration import Calibration
from unbraid_core.draft import Draft
from unbraid_core.factors import Factors
from unbraid_core.item_statistics import STATISTIC_NAMES, ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.pipeline import STAGES, Pipeline
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release.layout import RANKER, REPORTS
from unbraid_core.types import FloatArray, History, HistoryBatch, InterestBatch, Profile, Query, Scoring
from unbraid_exporter.ranker_files import write_ranker
from unbraid_index.exact import ExactSearcher
from unbraid_server.ranker import OnnxRanker
from unbraid_training.ranker.config import HeadName, RankerConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.heads import fit_head
from unbraid_training.ranker.trained import TrainedRanker

DAY_S = 86_400.0
NOW_S = 1.7e9
INTEREST_COUNT, DIMENSION, MAX_HISTORY = 4, 64, 50
NEIGHBOUR_COUNT, FACTOR_COUNT = 200, 128
TRAINING_QUERIES = 64
LIMIT = 20

# Finding candidates, and ranking them: the goals of the project are about the latter.
RANKING = {Profile.FORMULA: ("score",), Profile.LEARNED: ("score", "describe", "rank")}


class FixedEncoder:
    """Shares every event equally between interests that do not change."""

    def __init__(self, vectors_KD: FloatArray) -> None:
        self._vectors_KD = vectors_KD

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """The same interests for everybody."""
        assignment_BL: FloatArray = (batch.mask_BL / INTEREST_COUNT).astype(np.float32)
        assignment_BKL = np.repeat(assignment_BL[:, None], INTEREST_COUNT, axis=1)
        return InterestBatch(np.repeat(self._vectors_KD[None], len(assignment_BL), axis=0), assignment_BKL)


@dataclass(frozen=True)
class Sizes:
    """How large everything is, and what ranks."""

    items: int
    history: int
    batch: int
    depth: int
    head: HeadName
    trees: int


def make_pipeline(sizes: Sizes, rng: np.random.Generator) -> Pipeline:
    """A pipeline over random vectors, without a ranker."""
    count = sizes.items
    item_vectors_ID = _unit(rng, count)
    inputs = RankerInputs(
        neighbours=Neighbours(
            rng.integers(0, count, (count, NEIGHBOUR_COUNT), np.int32),
            rng.exponential(size=(count, NEIGHBOUR_COUNT)).astype(np.float32),
            180 * DAY_S,
        ),
        factors=Factors(rng.normal(size=(count, FACTOR_COUNT)).astype(np.float32), 10.0, 50.0),
        statistics=ItemStatistics(rng.normal(size=(count, len(STATISTIC_NAMES))).astype(np.float32), NOW_S - DAY_S),
        depth=sizes.depth,
        product=sizes.head == "interactions",
    )
    log_popularity_I = rng.normal(size=count).astype(np.float32)
    return Pipeline(
        encoder=FixedEncoder(_unit(rng, INTEREST_COUNT)),
        searcher=ExactSearcher(item_vectors_ID),
        item_vectors_ID=item_vectors_ID,
        log_popularity_I=log_popularity_I,
        popular_row_I=np.argsort(-log_popularity_I),
        half_life_s_K=np.array([1.0, 7.0, 30.0, 180.0]) * DAY_S,
        scoring=Scoring(0.1, 0.5, 1.0, 1.0, 30 * DAY_S, 30 * DAY_S, candidate_count=500, mixture=True),
        max_history=MAX_HISTORY,
        ranker_inputs=inputs,
    )


def make_queries(count: int, sizes: Sizes, profile: Profile, rng: np.random.Generator) -> list[Query]:
    """People whose items repeat now and then, who may be recommended them again."""
    return [
        Query(
            History(
                row_N=(sizes.items * rng.random(sizes.history) ** 2).astype(np.int64),
                time_s_N=np.sort(NOW_S - rng.uniform(0.0, 300 * DAY_S, sizes.history)),
                action_N=np.zeros(sizes.history, np.int64),
            ),
            NOW_S,
            LIMIT,
            include_seen=True,
            profile=profile,
        )
        for _ in range(count)
    ]


def with_ranker(pipeline: Pipeline, sizes: Sizes, rng: np.random.Generator) -> Pipeline:
    """The same pipeline with a ranker over its own features."""
    described = pipeline.features(make_queries(TRAINING_QUERIES, sizes, Profile.LEARNED, rng))
    row_C, source_C, feature_CF = (np.concatenate(arrays) for arrays in zip(*described, strict=True))
    size_Q = np.array([len(each.row_C) for each in described])
    part = RankerExamples(feature_CF, row_C, source_C, taken_C=rng.random(len(row_C)) < 0.1, size_Q=size_Q)
    inputs = pipeline.ranker_inputs
    assert inputs is not None
    config = RankerConfig(head=sizes.head, tree_count=sizes.trees, leaf_example_count=20)
    head = fit_head([part], config, seed=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / REPORTS).mkdir()
        spec = write_ranker(TrainedRanker(head, inputs, 1, Calibration(1.0, 0.0), {}), DIMENSION, folder)
        return replace(pipeline, ranker=OnnxRanker(folder / RANKER, spec))


def stage_times(pipeline: Pipeline, queries: Sequence[Query]) -> tuple[dict[str, float], float]:
    """CPU milliseconds a request of every stage, and the mean number of candidates."""
    drafts = [Draft(query) for query in queries]
    times_ms, candidate_count = {}, 0
    for name, stage in STAGES.items():
        start_ns = time.process_time_ns()
        stage(pipeline, drafts)
        times_ms[name] = (time.process_time_ns() - start_ns) / 1e6 / len(queries)
        if name == "score":
            candidate_count = sum(len(draft.row_C) for draft in drafts)
    return times_ms, candidate_count / len(queries)


def measure(sizes: Sizes, rounds: int) -> Table:
    """A table with a row for each stage and a column for each profile."""
    rng = np.random.default_rng(1)
    pipeline = with_ranker(make_pipeline(sizes, rng), sizes, rng)
    times: dict[Profile, list[dict[str, float]]] = {profile: [] for profile in Profile}
    candidate_counts = dict.fromkeys(Profile, 0.0)
    for profile in [*Profile] * (rounds + 1):
        stages_ms, candidate_counts[profile] = stage_times(pipeline, make_queries(sizes.batch, sizes, profile, rng))
        times[profile].append(stages_ms)
    table = Table("CPU ms a request", *Profile, title=f"{sizes}", title_justify="left", box=None, min_width=60)
    for column in table.columns[1:]:
        column.justify = "right"
    # The first round of each warms up.
    median_ms = {
        profile: {name: float(np.median([each[name] for each in times[profile][1:]])) for name in STAGES}
        for profile in Profile
    }
    for name in STAGES:
        table.add_row(name, *(f"{median_ms[profile][name]:.3f}" for profile in Profile))
    table.add_row("candidates", *(f"{candidate_counts[profile]:.0f}" for profile in Profile))
    ranking_ms = (sum(median_ms[profile][name] for name in RANKING[profile]) for profile in Profile)
    table.add_row("ranking alone", *(f"{each:.3f}" for each in ranking_ms), style="bold")
    table.add_row("all stages", *(f"{sum(median_ms[profile].values()):.3f}" for profile in Profile), style="bold")
    return table


def _unit(rng: np.random.Generator, count: int) -> FloatArray:
    vectors_ND = rng.normal(size=(count, DIMENSION))
    unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return unit_ND


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3_600)
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--depth", type=int, default=95, help="candidates of each source")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--head", choices=get_args(HeadName), default="trees")
    parser.add_argument("--trees", type=int, default=100, help="of the gradient boosting; UCI ships 125")
    arguments = vars(parser.parse_args())
    rounds = arguments.pop("rounds")
    Console().print(measure(Sizes(**arguments), rounds))


if __name__ == "__main__":
    main()
