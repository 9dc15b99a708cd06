"""What a run tells its observer and writes down: stretches, steps, epochs and the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unbraid_training.config import DecayConfig, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.training.conftest import TrainTiny, Watcher


def test_the_data_are_described(tiny_run: Path, tiny_dataset: Dataset) -> None:
    facts = json.loads((tiny_run / "data.json").read_text())
    assert facts["event_count"] == len(tiny_dataset)
    assert facts["training_event_count"] == len(LastEvents(5).apply(tiny_dataset).train)
    assert facts["user_count"] == facts["training_user_count"] == 40
    assert facts["actions"] == {"": 0, "view": len(tiny_dataset)}
    assert facts["first_time"] < facts["last_time"]


def test_every_stretch_takes_as_many_steps_as_were_announced(tiny_watcher: Watcher) -> None:
    titles = [title for title, _, _ in tiny_watcher.stretches]
    assert titles == [
        *("choosing epochs", "fitting the score", "training on all"),
        "ranker, origin 1: asking for candidates",
        *(f"ranker, origin {number}: {what}" for number in (2, 3, 4) for what in ("training", "asking for candidates")),
        "ranker: fitting",
    ]
    assert tiny_watcher.advances == [step_count for _, step_count, _ in tiny_watcher.stretches]
    assert {done_count for _, _, done_count in tiny_watcher.stretches} == {0}
    assert [(report.phase, report.epoch) for report in tiny_watcher.reports] == [
        *(("select", epoch) for epoch in (1, 2, 3)),
        *(("refit", epoch) for epoch in range(1, len(tiny_watcher.reports) - 2)),
    ]


def test_what_was_done_before_is_announced_and_not_done_again(
    train_tiny: TrainTiny,
    tiny_watcher: Watcher,
    watch: Callable[..., Watcher],
    interrupted: type[Exception],
    tmp_path: Path,
) -> None:
    with pytest.raises(interrupted):
        train_tiny(tmp_path / "run", watch(stop_at=tiny_watcher.position("choosing epochs", 2, "epoch")))
    second = watch()
    train_tiny(tmp_path / "run", second)
    for (_, step_count, done_count), advances in zip(second.stretches, second.advances, strict=True):
        assert done_count + advances == step_count
    assert second.stretches[0][2] == 2 * second.stretches[0][1] // 3


def test_patience_ends_the_choice_of_epochs(
    train_tiny: TrainTiny, tiny_config: TrainConfig, watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    """With rates of next to nothing no epoch is better than the first."""
    stuck = tiny_config.model_copy(
        update={
            "learning_rate": 1e-12,
            "item_learning_rate": 1e-12,
            "decay": DecayConfig(learning_rate=1e-12),
            "epochs": 20,
            "patience": 2,
        }
    )
    observer = watch()
    checkpoint = train_tiny(tmp_path / "run", observer, stuck)
    assert [(report.phase, report.epoch) for report in observer.reports] == [
        ("select", 1),
        ("select", 2),
        ("select", 3),
        ("refit", 1),
    ]
    assert checkpoint.settings == stuck


def test_epochs_after_the_best_one_change_nothing(
    train_tiny: TrainTiny, tiny_config: TrainConfig, watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    """With a rate that soon spoils the item vectors, later epochs are worse."""
    spoiling = tiny_config.model_copy(update={"item_learning_rate": 0.05, "epochs": 5})
    observer = watch()
    longer = train_tiny(tmp_path / "longer", observer, spoiling)
    ndcg_E = [report.validation["ndcg@50"] for report in observer.reports if report.phase == "select"]
    best = 1 + ndcg_E.index(max(ndcg_E))
    assert best < len(ndcg_E)
    shorter = train_tiny(tmp_path / "shorter", watch(), spoiling.model_copy(update={"epochs": best}))
    assert (longer.space_id, longer.scoring, longer.training) == (shorter.space_id, shorter.scoring, shorter.training)
