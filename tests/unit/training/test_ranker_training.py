"""What the ranker learns from: sources against counting by hand, and moments that never see what came after."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.features import FEATURE_NAMES
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import FloatArray, History, Source
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import TimeWindow
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.evaluation.cases import Task
from unbraid_training.item_statistics import log_popularity
from unbraid_training.ranker.booster import fit_booster
from unbraid_training.ranker.config import NetworkConfig, RankerConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.heads import fit_head
from unbraid_training.ranker.neighbours import fit_neighbours
from unbraid_training.ranker.network import NetworkRanker
from unbraid_training.ranker.origin import Origin, find_origins
from unbraid_training.ranker.sources import fit_inputs
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import first_scoring, model_pipeline

CONFIG = RankerConfig(neighbour_count=7, factor_count=8, tree_count=5, leaf_example_count=5, depth=20)
SETTINGS = TrainConfig(dimension=8, ranker=CONFIG)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    """40 users who act all the time for more than a year."""
    return plant(SyntheticSpec(user_count=40, item_count=240, events_per_user=80, session_gap_s=12 * DAY_S)).dataset


@pytest.fixture(scope="module")
def train(shop: Dataset) -> Dataset:
    """Only items with events, as in a holdout."""
    return shop.with_items(np.bincount(shop.row_E, minlength=len(shop.catalogue)) > 0)


def common_counts(train: Dataset) -> Counter[tuple[int, int]]:
    """Users of each pair of items, one user after the other."""
    counts: Counter[tuple[int, int]] = Counter()
    for user in range(len(train.user_ids)):
        items = sorted({int(row) for row in train.history(user).row_N})
        counts.update((one, other) for one in items for other in items if one != other)
    return counts


@pytest.mark.parametrize("ease_item_count", [15_000, 1], ids=["EASE", "cosines"])
@pytest.mark.parametrize("fewest", [2, 6])
def test_neighbours_have_enough_users_in_common(train: Dataset, ease_item_count: int, fewest: int) -> None:
    settings = CONFIG.model_copy(update={"ease_item_count": ease_item_count, "common_user_count": fewest})
    neighbours = fit_neighbours(train, settings)
    counts = common_counts(train)
    said = [
        (row, int(other))
        for row in range(len(train.catalogue))
        for other, weight in zip(neighbours.row_IM[row], neighbours.weight_IM[row], strict=True)
        if weight != 0
    ]
    assert said
    assert all(counts[pair] >= fewest for pair in said)
    assert neighbours.row_IM.shape[1] <= CONFIG.neighbour_count


def test_in_large_catalogues_neighbours_are_the_largest_shrunk_cosines(train: Dataset) -> None:
    neighbours = fit_neighbours(train, CONFIG.model_copy(update={"ease_item_count": 1, "common_user_count": 1}))
    counts = common_counts(train)
    users_I = np.bincount(np.unique(train.pair_E) % len(train.catalogue))
    for row in range(len(train.catalogue)):
        cosines = sorted(
            (
                counts[row, other] / (np.sqrt(float(users_I[row]) * float(users_I[other])) + 50.0)
                for other in range(len(train.catalogue))
                if other != row
            ),
            reverse=True,
        )
        np.testing.assert_allclose(-np.sort(-neighbours.weight_IM[row]), cosines[: CONFIG.neighbour_count], rtol=1e-5)


def test_factors_fold_a_history_in_by_least_squares(train: Dataset) -> None:
    factors = fit_inputs(train, CONFIG, seed=1).factors
    history = train.history(3)
    count_I = np.bincount(history.row_N, minlength=len(train.catalogue)).astype(np.float64)
    weight_I = np.where(count_I > 0, CONFIG.factor_confidence * count_I, 1.0)
    vector_IF = factors.vector_IF.astype(np.float64)
    system_FF = vector_IF.T @ (weight_I[:, None] * vector_IF) + CONFIG.factor_regularisation * np.eye(8)
    user_F = np.linalg.solve(system_FF, vector_IF.T @ (weight_I * (count_I > 0)))
    np.testing.assert_allclose(factors.score(history), vector_IF @ user_F, rtol=1e-3, atol=1e-5)


def test_statistics_are_those_of_counting(train: Dataset) -> None:
    statistics = fit_inputs(train, CONFIG, seed=1).statistics
    newest_s = train.time_s_E.max()
    assert statistics.reference_time_s == newest_s
    for row in (0, 7, len(train.catalogue) - 1):
        of_item_E = train.row_E == row
        times_s = train.time_s_E[of_item_E]
        per_user = Counter(train.user_E[of_item_E].tolist())
        expected = [
            (newest_s - times_s.min()) / DAY_S,
            (newest_s - times_s.max()) / DAY_S,
            np.mean([count > 1 for count in per_user.values()]),
            np.log1p(len(per_user)),
        ]
        np.testing.assert_allclose(statistics.value_IS[:][row, -4:], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(statistics.value_IS[:][:, 1], log_popularity(train, 2 * DAY_S))


def test_neighbours_speak_with_the_newest_event_on_each_item(train: Dataset) -> None:
    neighbours = fit_neighbours(train, CONFIG)
    now_s, half_life_s = 1e9, neighbours.half_life_s
    history = History(
        row_N=np.array([4, 9, 4]),
        time_s_N=now_s - half_life_s * np.array([3.0, 2.0, 1.0]),
        action_N=np.zeros(3, np.int64),
    )
    expected_I = np.zeros(len(train.catalogue))
    for row, fading in ((4, 0.5), (9, 0.25)):
        for other, weight in zip(neighbours.row_IM[row], neighbours.weight_IM[row], strict=True):
            expected_I[other] += fading * float(weight)
    np.testing.assert_allclose(neighbours.score(history, now_s), expected_I, rtol=1e-6)


@pytest.fixture(scope="module")
def split(shop: Dataset) -> TimeWindow:
    end_s = float(np.quantile(shop.time_s_E, 0.7))
    return TimeWindow(end_s - 40 * DAY_S, end_s)


@pytest.fixture(scope="module")
def origins(shop: Dataset, split: TimeWindow) -> list[Origin]:
    return find_origins(split, split.apply(shop).train, CONFIG, seed=1)


def test_origins_go_back_in_time_and_see_nothing_after_the_split(
    shop: Dataset, split: TimeWindow, origins: list[Origin]
) -> None:
    assert len(origins) == CONFIG.origin_count
    rules = [origin.rule for origin in origins]
    assert all(isinstance(rule, TimeWindow) and rule.stop_s <= split.start_s for rule in rules)
    assert rules[0] == split.inner(split.apply(shop).train)
    starts_s = [float(origin.cases[Task.NEW].now_s_H[0]) for origin in origins]
    assert starts_s[1:] == sorted(starts_s[1:], reverse=True)
    for origin, start_s in zip(origins, starts_s, strict=True):
        assert origin.holdout.train.time_s_E.max() < start_s


def test_windows_of_a_length_of_their_own_end_with_the_training_events(shop: Dataset, split: TimeWindow) -> None:
    train = split.apply(shop).train
    settings = CONFIG.model_copy(update={"window_s": 16 * DAY_S})
    whole, *short = [origin.rule for origin in find_origins(split, train, settings, seed=1)]
    assert whole == split.inner(train)
    spans = [
        ((train.time_s_E.max() - rule.start_s) / DAY_S, (rule.stop_s - rule.start_s) / DAY_S)
        for rule in short
        if isinstance(rule, TimeWindow)
    ]
    assert np.round(spans, 3).tolist() == [[12, 12], [20, 16], [28, 16]]


def test_where_events_do_not_reach_back_there_are_fewer_origins(shop: Dataset, split: TimeWindow) -> None:
    recent = split.apply(shop.select(shop.time_s_E > split.start_s - 50 * DAY_S)).train
    assert len(find_origins(split, recent, CONFIG, seed=1)) < CONFIG.origin_count


@pytest.fixture(scope="module")
def pipeline(origins: list[Origin]) -> Pipeline:
    """That of the newest origin, with an untrained model."""
    data = origins[0].holdout.train
    trainer = Trainer(data, SETTINGS, log_popularity(data, ALL_TIME_S))
    return model_pipeline(trainer.model.eval(), data, first_scoring(SETTINGS), SETTINGS.max_history)


@pytest.fixture(scope="module")
def examples(origins: list[Origin], pipeline: Pipeline) -> dict[Task, RankerExamples]:
    return origins[0].examples(pipeline, CONFIG, 1, lambda: None)


@pytest.fixture(scope="module")
def product_examples(origins: list[Origin], pipeline: Pipeline) -> dict[Task, RankerExamples]:
    """The same for a head that reads products."""
    settings = CONFIG.model_copy(update={"head": "interactions"})
    return origins[0].examples(pipeline, settings, 1, lambda: None)


def test_a_candidate_is_taken_where_it_is_a_target(origins: list[Origin], examples: dict[Task, RankerExamples]) -> None:
    for task, part in examples.items():
        cases = origins[0].cases[task]
        assert len(part.size_Q) == len(cases)
        rows = np.split(part.row_C, np.cumsum(part.size_Q)[:-1])
        taken = np.split(part.taken_C, np.cumsum(part.size_Q)[:-1])
        for user, (row_C, taken_C) in enumerate(zip(rows, taken, strict=True)):
            assert taken_C.tolist() == [row in cases.targets[user] for row in row_C]
            if task is Task.NEW:
                assert not np.isin(row_C, cases.history(user).row_N).any()
    assert any(part.taken_C.any() for part in examples.values())


@pytest.mark.parametrize("objective", ["log-loss", "lambdarank"])
def test_the_trees_repeat_and_rank_by_their_scores(examples: dict[Task, RankerExamples], objective: str) -> None:
    part = examples[Task.ALL]
    settings = CONFIG.model_copy(update={"objective": objective})
    ranker, again = (fit_booster([part], settings, seed=3) for _ in range(2))
    assert ranker.text == again.text
    score_C = ranker.score(part.feature_CF)
    first = int(part.size_Q[0])
    ranked = part.ranked(score_C)[0]
    best = part.row_C[:first][np.argsort(-score_C[:first], kind="stable")][: len(ranked)]
    assert ranked[: len(best)].tolist() == best.tolist()
    assert set(part.row_C[:first][part.recommended(score_C)[:first]]) == set(best)
    both = RankerExamples.concatenated([part, replace(part)])
    assert len(both.row_C) == 2 * len(part.row_C)


def test_the_order_is_learnt_from_a_user_with_more_candidates_than_the_library_takes() -> None:
    rng = np.random.default_rng(0)
    size_Q = np.array([50, 12_000, 50])
    count = int(size_Q.sum())
    feature_CF = rng.standard_normal((count, len(FEATURE_NAMES))).astype(np.float32)
    part = RankerExamples(feature_CF, np.arange(count), np.ones(count, np.int64), feature_CF[:, 0] > 1.0, size_Q)
    settings = CONFIG.model_copy(update={"objective": "lambdarank"})
    score_C = fit_booster([part], settings, seed=1).score(feature_CF)
    assert score_C[part.taken_C].mean() > score_C[~part.taken_C].mean()
    cut = part.first_of_each_user(60)
    assert cut.size_Q.tolist() == [50, 60, 50]
    assert cut.row_C.tolist() == [*range(110), *range(12_050, 12_100)]


def test_every_candidate_knows_its_sources(examples: dict[Task, RankerExamples]) -> None:
    for part in examples.values():
        assert (part.source_C > 0).all()
        found = Source(int(np.bitwise_or.reduce(part.source_C)))
        assert Source.INTERESTS | Source.NEIGHBOURS | Source.FACTORS in found
    assert not (examples[Task.NEW].source_C & Source.OWN_ITEMS).any()


def test_products_stand_behind_the_same_features_and_add_up_to_an_affinity(
    examples: dict[Task, RankerExamples], product_examples: dict[Task, RankerExamples]
) -> None:
    for task, part in product_examples.items():
        feature_CF, product_CD = np.split(part.feature_CF, [len(FEATURE_NAMES)], axis=1)
        np.testing.assert_array_equal(feature_CF, examples[task].feature_CF)
        assert product_CD.shape[1] == SETTINGS.dimension
        affinity_C = feature_CF[:, FEATURE_NAMES.index("affinity")]
        np.testing.assert_allclose(product_CD.sum(axis=1) / SETTINGS.temperature, affinity_C, atol=1e-4)


def test_a_network_repeats_and_survives_its_file(product_examples: dict[Task, RankerExamples], tmp_path: Path) -> None:
    part = product_examples[Task.ALL]
    network = NetworkConfig(hidden_count=8, epochs=1, batch_size=256)
    settings = CONFIG.model_copy(update={"head": "interactions", "network": network})
    ranker, again = (fit_head([part], settings, seed=3) for _ in range(2))
    score_C = ranker.score(part.feature_CF)
    np.testing.assert_array_equal(again.score(part.feature_CF), score_C)
    ranker.write(tmp_path / "network")
    opened = NetworkRanker.read(tmp_path / "network")
    np.testing.assert_array_equal(opened.score(part.feature_CF), score_C)
    assert opened.features == ranker.features


def test_a_network_learns_what_no_sum_of_features_says() -> None:
    """Taken where one dimension of the product is above 0: its sum, and every feature, is noise."""
    rng = np.random.default_rng(5)
    count, dimension = 6_000, 4
    feature_CF: FloatArray = rng.normal(size=(count, len(FEATURE_NAMES) + dimension)).astype(np.float32)
    taken_C = feature_CF[:, -1] > 0
    part = RankerExamples(feature_CF, np.arange(count), np.ones(count, np.int64), taken_C, np.array([count]))
    network = NetworkConfig(hidden_count=16, epochs=8, batch_size=128, learning_rate=1e-2)
    ranker = fit_head([part], CONFIG.model_copy(update={"head": "interactions", "network": network}), seed=1)
    fresh_CF: FloatArray = rng.normal(size=(1_000, feature_CF.shape[1])).astype(np.float32)
    right_C = (ranker.score(fresh_CF) > 0) == (fresh_CF[:, -1] > 0)
    assert right_C.mean() > 0.9
