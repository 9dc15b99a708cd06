from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import METRICS, RANK_COUNT
from unbraid_training.evaluation.scorecard import Scorecard
from unbraid_training.evaluation.scorecard_file import read_bar, write_scorecards

SPLIT = "before-2024-01-01"
USER_COUNT, ITEM_COUNT = 30, 80


@pytest.fixture
def cases() -> Cases:
    """Thirty users with one to three targets."""
    rng = np.random.default_rng(5)
    empty = np.empty(0, np.int32)
    items = Catalogue.of([f"i{row}" for row in range(ITEM_COUNT)])
    train = Dataset(items, [f"user {n}" for n in range(USER_COUNT)], [""], empty, empty, np.empty(0), empty)
    targets = [rng.permutation(ITEM_COUNT)[: rng.integers(1, 4)] for _ in range(USER_COUNT)]
    return Cases(Task.NEW, train, np.arange(USER_COUNT), np.zeros(USER_COUNT), targets, 0)


@pytest.fixture
def cards(cases: Cases) -> list[Scorecard]:
    rng = np.random.default_rng(6)

    def ranking() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        return np.stack([rng.permutation(ITEM_COUNT)[:RANK_COUNT] for _ in range(USER_COUNT)])

    return [Scorecard.of(system, ranking(), cases) for system in ("ease", "ials+pop", "sasrec")]


@pytest.fixture
def path(cases: Cases, cards: list[Scorecard], tmp_path: Path) -> Path:
    """A file in which ials+pop is the bar."""
    file = tmp_path / "baselines-new.parquet"
    write_scorecards(file, cases, SPLIT, "ials+pop", cards)
    return file


def test_a_gain_is_the_difference_of_the_means_and_has_no_width_over_oneself(cards: list[Scorecard]) -> None:
    one, other, _ = cards
    gain = one.gains(other, seed=1)["recall@50"]
    assert gain.mean == pytest.approx(one.metrics["recall@50"].mean() - other.metrics["recall@50"].mean())
    assert gain.low < gain.mean < gain.high
    for nothing in one.gains(one, seed=1).values():
        assert nothing.low == nothing.mean == nothing.high == 0.0


def test_the_bar_comes_back_as_it_was(path: Path, cases: Cases, cards: list[Scorecard]) -> None:
    bar = read_bar(path, cases, SPLIT)
    assert (bar.system, bar.coverage) == ("ials+pop", cards[1].coverage)
    assert list(bar.metrics) == list(METRICS)
    for name in METRICS:
        np.testing.assert_array_equal(bar.metrics[name], cards[1].metrics[name])


def test_a_sample_of_users_gets_their_own_metrics(path: Path, cases: Cases, cards: list[Scorecard]) -> None:
    sample = cases.sample(7, seed=2)
    bar = read_bar(path, sample, SPLIT)
    np.testing.assert_array_equal(bar.metrics["ndcg@20"], cards[1].metrics["ndcg@20"][sample.user_H])


def test_the_file_names_its_columns_for_other_tools(path: Path) -> None:
    table = parquet.read_table(path)
    assert table.column_names == ["system", "user_id", "target_count", *METRICS]
    assert len(table) == 3 * USER_COUNT


def test_another_split_or_task_is_refused(path: Path, cases: Cases) -> None:
    for other, split in ((cases, "last-10"), (replace(cases, task=Task.ALL), SPLIT)):
        with pytest.raises(InvalidInput, match=f"measured on split {SPLIT}, task new, and not on split {split}, task"):
            read_bar(path, other, split)


def test_other_targets_and_unknown_users_are_refused(path: Path, cases: Cases) -> None:
    more = replace(cases, targets=[np.arange(9), *cases.targets[1:]])
    strangers = replace(cases, train=replace(cases.train, user_ids=[f"stranger {n}" for n in range(USER_COUNT)]))
    for other in (more, strangers):
        with pytest.raises(InvalidInput, match=r"against: .* has other users or targets; run unbraid baselines"):
            read_bar(path, other, SPLIT)


def test_what_holds_no_scorecards_is_refused(cases: Cases, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no table")
    parquet.write_table(pa.table({"user_id": ["a"]}), tmp_path / "table")
    for name, reason in (("text", "cannot read"), ("table", "it holds no scorecards"), ("missing", "cannot read")):
        with pytest.raises(InvalidInput, match=f"against: .*{reason}") as caught:
            read_bar(tmp_path / name, cases, SPLIT)
        assert "\n" not in caught.value.message
