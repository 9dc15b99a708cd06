"""The checkpoint: complete, intact, or refused by name."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unbraid_core.errors import IntegrityError, NotFound
from unbraid_core.features import FEATURE_NAMES
from unbraid_core.interactions import product_names
from unbraid_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.ranker.config import NetworkConfig, RankerConfig
from unbraid_training.ranker.files import load_ranker, save_ranker

if TYPE_CHECKING:
    from tests.unit.conftest import FilesLimitedTo
    from tests.unit.training.conftest import TrainTiny

FILES = ("model.safetensors", "statistics.safetensors", "items.arrow")


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def test_a_saved_checkpoint_comes_back_whole(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path)
    loaded = load_checkpoint(tmp_path)
    for name in ("settings", "actions", "scoring", "training", "space_id", "encoder_spec"):
        assert getattr(loaded, name) == getattr(tiny_checkpoint, name)
    for name in ("log_popularity_I", "queries_QD", "item_vectors_ID", "half_life_s_K"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(tiny_checkpoint, name))
    assert loaded.catalogue.table.equals(tiny_checkpoint.catalogue.table)
    for name, tensor in tiny_checkpoint.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    assert not loaded.model.training


def test_a_full_disk_is_named(tiny_checkpoint: Checkpoint, tmp_path: Path, files_limited_to: FilesLimitedTo) -> None:
    with files_limited_to(2_048), pytest.raises(OSError, match="File too large") as caught:
        save_checkpoint(tiny_checkpoint, tmp_path)
    assert caught.value.filename == str(tmp_path / "model.safetensors")


def test_a_run_with_an_interaction_network_comes_back_whole(
    train_tiny: TrainTiny, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    ranker = RankerConfig(head="interactions", network=NetworkConfig(hidden_count=8, epochs=1))
    trained = train_tiny(tmp_path / "run", config=tiny_config.model_copy(update={"epochs": 1, "ranker": ranker})).ranker
    assert trained is not None
    assert trained.inputs.product
    (tmp_path / "copy").mkdir()
    loaded = load_ranker(save_ranker(trained, tmp_path / "copy"), tmp_path / "copy")
    assert trained.head.features == loaded.head.features == [*FEATURE_NAMES, *product_names(tiny_config.dimension)]
    feature_CF = np.random.default_rng(1).normal(size=(50, len(loaded.head.features))).astype(np.float32)
    np.testing.assert_array_equal(loaded.head.score(feature_CF), trained.head.score(feature_CF))


def test_it_says_what_it_was_trained_on(
    tiny_checkpoint: Checkpoint, tiny_dataset: Dataset, tiny_config: TrainConfig
) -> None:
    record, spec = tiny_checkpoint.training, tiny_checkpoint.encoder_spec
    assert tiny_checkpoint.settings == tiny_config
    assert (record.split, record.seed) == ("last-5", tiny_config.seed)
    assert record.event_count == len(LastEvents(5).apply(tiny_dataset).train)
    assert record.last_event_time.timestamp() < tiny_dataset.time_s_E.max()
    assert 0 < record.validation["ndcg@50"] <= 1
    assert (spec.interest_count, spec.dimension, spec.actions) == (4, 16, ["", "view"])


def test_settings_without_an_encoder_are_those_of_the_default_one(tiny_checkpoint: Checkpoint) -> None:
    settings = tiny_checkpoint.settings.model_dump(exclude={"encoder"})
    assert TrainConfig.model_validate(settings) == tiny_checkpoint.settings
    assert tiny_checkpoint.encoder_spec.architecture == "none+time/self-attentive"
    parts = {name.partition(".")[0] for name in tiny_checkpoint.encoder.state_dict()}
    assert parts == {"action", "direction_KD", "hidden", "saliency", "value", "context"}


def test_vectors_are_unit_vectors_of_the_right_number(tiny_checkpoint: Checkpoint) -> None:
    item_count = len(tiny_checkpoint.catalogue)
    assert tiny_checkpoint.item_vectors_ID.shape == (item_count, 16)
    assert tiny_checkpoint.log_popularity_I.shape == (item_count,)
    for vectors_ND in (tiny_checkpoint.item_vectors_ID, tiny_checkpoint.queries_QD):
        assert vectors_ND.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors_ND, axis=1), 1.0, atol=1e-5)
    assert len(tiny_checkpoint.queries_QD) == 4 * tiny_checkpoint.training.user_count
    assert (tiny_checkpoint.half_life_s_K > 0).all()


def test_the_space_is_named_after_the_weights(tiny_run: Path, tiny_checkpoint: Checkpoint) -> None:
    digest = hashlib.sha256((tiny_run / "model.safetensors").read_bytes()).hexdigest()
    assert digest.startswith(tiny_checkpoint.space_id)
    assert len(tiny_checkpoint.space_id) == 16


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_a_flipped_byte_is_found_in_the_file_that_has_it(folder: Path, name: str, place: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        load_checkpoint(folder)
    assert caught.value.message == (
        f"{folder / name}: missing or not as config.json lists it; remove {folder} and train again"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        load_checkpoint(folder)


def test_without_a_finished_run_the_command_that_makes_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_checkpoint(tmp_path / "run")
    assert caught.value.message.endswith(f"finish one there with: unbraid train --out {tmp_path / 'run'}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format_version": 1}, "format_version"),
        ({"colour": "red"}, "colour"),
        ({"actions": None}, "actions"),
        ({"settings": {"encoder": {"trunk": "oak"}}}, "settings.encoder.trunk"),
        ({"files": {}}, "was changed after it was written"),
        ({"actions": ["", "view", "buy"]}, "was changed after it was written"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, change: dict[str, object], problem: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IntegrityError) as caught:
        load_checkpoint(folder)
    assert problem in caught.value.message
    assert "\n" not in caught.value.message


def test_no_bit_of_the_config_can_flip_unnoticed(folder: Path) -> None:
    path = folder / "config.json"
    intact = path.read_bytes()
    rng = np.random.default_rng(1)
    for place, bit in zip(rng.integers(len(intact), size=300), rng.integers(8, size=300), strict=True):
        content = bytearray(intact)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=r"config\.json"):
            load_checkpoint(folder)


def test_a_config_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"format_version": 1, "sett')
    with pytest.raises(IntegrityError, match=r"config\.json"):
        load_checkpoint(folder)
