"""The checkpoint: a finished training run as a folder of safetensors, JSON and an Arrow catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

from unbraid_core.calibration import Calibration
from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IntegrityError, NotFound
from unbraid_core.release import EncoderSpec, FileEntry, TrainingRecord
from unbraid_core.release.files import entry, sync
from unbraid_core.release.replacement import replace_text
from unbraid_core.release.seal import UNSEALED, own_digest
from unbraid_core.types import DoubleArray, FloatArray, Profile, Scoring
from unbraid_training.config import TrainConfig
from unbraid_training.content.item_encoder import ItemEncoder
from unbraid_training.content.text_reader import TextReader
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.item_vectors import ContentVectors
from unbraid_training.layout import CONFIG_FILE
from unbraid_training.model import Model
from unbraid_training.ranker.files import RankerRecord, load_ranker, save_ranker
from unbraid_training.ranker.trained import TrainedRanker
from unbraid_training.tensor_files import save_arrays, save_tensors

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

MODEL_FILE = "model.safetensors"
STATISTICS_FILE = "statistics.safetensors"
CATALOGUE_FILE = "items.arrow"
FILES = (MODEL_FILE, STATISTICS_FILE, CATALOGUE_FILE)
TEXT_FOLDER = "item_text"

# How the names of the item side begin in the state of the model.
ITEMS = "items."
SPACE_ID_LENGTH = 16


class CheckpointConfig(BaseModel):
    """config.json: everything that is not a tensor, the digests of the other files, and that of its own bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[2] = 2
    config_sha256: str = UNSEALED
    settings: TrainConfig
    actions: list[str]
    scoring: Scoring
    calibration: Calibration | None = None
    training: TrainingRecord
    ranker: RankerRecord | None = None
    text_columns: list[str] | None = None
    files: dict[str, FileEntry]

    def sealed(self) -> CheckpointConfig:
        """The same with its digest."""
        return self.model_copy(update={"config_sha256": own_digest(self.to_json().encode())})

    def to_json(self) -> str:
        """The text of the file."""
        return self.model_dump_json(indent=2) + "\n"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model with all that an export needs.

    Attributes:
        settings: of the run.
        model: in evaluation mode.
        actions: action vocabulary, index 0 unspecified.
        scoring: fitted numbers of the score formula.
        training: what it was trained on.
        log_popularity_I: of the training events, with the half-life in ``scoring``.
        queries_QD: interests of users, to measure an index on; K of each user follow each other.
        catalogue: the items, row for row.
        query_log_share_UK: log shares of these interests, None in a run from before they were kept, whose interests are
            in no order.
        calibration: scores of the formula to probabilities.
        ranker: the learned profile, None where there was too little to learn it from.
        reader: of the items' text, where their vectors know it.
        space_id: digest of the weights.
    """

    settings: TrainConfig
    model: Model
    actions: list[str]
    scoring: Scoring
    training: TrainingRecord
    log_popularity_I: FloatArray
    queries_QD: FloatArray
    catalogue: Catalogue
    query_log_share_UK: FloatArray | None = None
    calibration: Calibration | None = None
    ranker: TrainedRanker | None = None
    reader: TextReader | None = None
    space_id: str = ""

    @property
    def calibrations(self) -> dict[Profile, Calibration]:
        """Scores to probabilities, for each profile that has them."""
        formula = {} if self.calibration is None else {Profile.FORMULA: self.calibration}
        return formula if self.ranker is None else formula | {Profile.LEARNED: self.ranker.calibration}

    @property
    def encoder(self) -> MultiInterestEncoder:
        """The user encoder."""
        return self.model.encoder

    @property
    def encoder_spec(self) -> EncoderSpec:
        """Shape and vocabulary of the encoder."""
        return EncoderSpec(
            architecture=self.settings.encoder.architecture,
            interest_count=self.settings.interest_count,
            dimension=self.settings.dimension,
            max_history=self.settings.max_history,
            actions=self.actions,
        )

    @property
    def item_vectors_ID(self) -> FloatArray:
        """Unit vectors of the catalogue."""
        vectors_ID: FloatArray = self.model.item_vectors().detach().numpy()
        return vectors_ID

    def item_encoder(self) -> ItemEncoder | None:
        """Items' text to their vectors, where there is a reader."""
        if self.reader is None:
            return None
        assert isinstance(self.model.items, ContentVectors), "vectors know the text that a reader reads"
        return ItemEncoder(self.reader, self.model.items.projection)

    @property
    def half_life_s_K(self) -> DoubleArray:
        """Learned half-lives in seconds."""
        half_life_s_K: DoubleArray = self.model.half_life_s().detach().numpy().astype(np.float64)
        return half_life_s_K


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint; config.json comes last, so that a folder with one is complete."""
    save_tensors(checkpoint.model.state_dict(), folder / MODEL_FILE)
    statistics = {"log_popularity_I": checkpoint.log_popularity_I, "queries_QD": checkpoint.queries_QD}
    if checkpoint.query_log_share_UK is not None:
        statistics["query_log_share_UK"] = checkpoint.query_log_share_UK
    save_arrays(statistics, folder / STATISTICS_FILE)
    checkpoint.catalogue.write(folder / CATALOGUE_FILE)
    ranker = None if checkpoint.ranker is None else save_ranker(checkpoint.ranker, folder)
    names = [*FILES, *(ranker.files if ranker else ()), *_write_reader(checkpoint.reader, folder)]
    for name in names:
        sync(folder / name)
    config = CheckpointConfig(
        settings=checkpoint.settings,
        actions=checkpoint.actions,
        scoring=checkpoint.scoring,
        calibration=checkpoint.calibration,
        training=checkpoint.training,
        ranker=ranker,
        text_columns=None if checkpoint.reader is None else list(checkpoint.reader.columns),
        files={name: entry(folder / name) for name in names},
    )
    replace_text(folder / CONFIG_FILE, config.sealed().to_json())


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a finished run.

    Raises:
        NotFound: the folder holds no finished run.
        IntegrityError: a file is damaged or from another version; the message names it.
    """
    config = _load_config(folder)
    for name in dict.fromkeys([*FILES, *config.files]):
        if not (folder / name).is_file() or entry(folder / name) != config.files.get(name):
            raise IntegrityError(
                f"{folder / name}: missing or not as {CONFIG_FILE} lists it; remove {folder} and train again"
            )
    catalogue = Catalogue.open(folder / CATALOGUE_FILE)
    try:
        state = load_file(folder / MODEL_FILE)
        items = None if config.text_columns is None else ContentVectors.shaped_as(state, ITEMS, config.settings.content)
        model = Model(config.settings, len(catalogue), len(config.actions), items)
        model.load_state_dict(state)
    except (KeyError, RuntimeError):
        raise IntegrityError(
            f"{folder / MODEL_FILE}: was made by another version of unbraid; remove {folder} and train again"
        ) from None
    statistics = load_arrays(folder / STATISTICS_FILE)
    return Checkpoint(
        settings=config.settings,
        model=model.eval(),
        actions=config.actions,
        scoring=config.scoring,
        calibration=config.calibration,
        training=config.training,
        log_popularity_I=statistics["log_popularity_I"],
        queries_QD=statistics["queries_QD"],
        query_log_share_UK=statistics.get("query_log_share_UK"),
        catalogue=catalogue,
        ranker=None if config.ranker is None else load_ranker(config.ranker, folder),
        reader=None if config.text_columns is None else TextReader.open(folder / TEXT_FOLDER, config.text_columns),
        space_id=config.files[MODEL_FILE].sha256[:SPACE_ID_LENGTH],
    )


def _write_reader(reader: TextReader | None, folder: Path) -> list[str]:
    if reader is None:
        return []
    (folder / TEXT_FOLDER).mkdir(exist_ok=True)
    return [f"{TEXT_FOLDER}/{name}" for name in reader.encoder.write(folder / TEXT_FOLDER)]


def _load_config(folder: Path) -> CheckpointConfig:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise NotFound(
            f"{folder}: holds no finished training run ({CONFIG_FILE} is missing); name the folder that unbraid train "
            f"wrote, or begin or finish one there with: unbraid train --out {folder}"
        )
    text = path.read_bytes()
    try:
        config = CheckpointConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{path}: {where}: {first['msg']}; remove {folder} and train again") from None
    if own_digest(text, config.config_sha256) != config.config_sha256:
        raise IntegrityError(f"{path}: was changed after it was written; remove {folder} and train again")
    return config
