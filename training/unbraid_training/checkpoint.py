"""The checkpoint: a finished training run as a folder of safetensors, JSON and an Arrow catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IntegrityError, NotFound
from unbraid_core.release import EncoderSpec, FileEntry, TrainingRecord
from unbraid_core.release.files import entry, sync
from unbraid_core.release.replacement import replace_text
from unbraid_core.types import DoubleArray, FloatArray, Scoring
from unbraid_training.config import TrainConfig
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.model import Model
from unbraid_training.ranker.files import RANKER_FILES, RankerRecord, load_ranker, save_ranker
from unbraid_training.ranker.trained import TrainedRanker

__all__ = ["CONFIG_FILE", "Checkpoint", "load_checkpoint", "save_checkpoint"]

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
STATISTICS_FILE = "statistics.safetensors"
CATALOGUE_FILE = "items.arrow"
FILES = (MODEL_FILE, STATISTICS_FILE, CATALOGUE_FILE)
SPACE_ID_LENGTH = 16


class CheckpointConfig(BaseModel):
    """config.json: everything that is not a tensor, and the digests of the other files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1]
    settings: TrainConfig
    actions: list[str]
    scoring: Scoring
    training: TrainingRecord
    ranker: RankerRecord | None = None
    files: dict[str, FileEntry]


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
        queries_QD: interests of users, to measure an index on.
        catalogue: the items, row for row.
        ranker: the learned profile, None where there was too little to learn it from.
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
    ranker: TrainedRanker | None = None
    space_id: str = ""

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

    @property
    def half_life_s_K(self) -> DoubleArray:
        """Learned half-lives in seconds."""
        half_life_s_K: DoubleArray = self.model.half_life_s().detach().numpy().astype(np.float64)
        return half_life_s_K


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint; config.json comes last, so that a folder with one is complete."""
    save_file(checkpoint.model.state_dict(), folder / MODEL_FILE)
    statistics = {"log_popularity_I": checkpoint.log_popularity_I, "queries_QD": checkpoint.queries_QD}
    save_arrays(statistics, folder / STATISTICS_FILE)
    checkpoint.catalogue.write(folder / CATALOGUE_FILE)
    ranker = None if checkpoint.ranker is None else save_ranker(checkpoint.ranker, folder)
    names = FILES if ranker is None else (*FILES, *RANKER_FILES)
    for name in names:
        sync(folder / name)
    config = CheckpointConfig(
        format_version=1,
        settings=checkpoint.settings,
        actions=checkpoint.actions,
        scoring=checkpoint.scoring,
        training=checkpoint.training,
        ranker=ranker,
        files={name: entry(folder / name) for name in names},
    )
    replace_text(folder / CONFIG_FILE, config.model_dump_json(indent=2) + "\n")


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a finished run.

    Raises:
        NotFound: the folder holds no finished run.
        IntegrityError: a file is damaged or from another version; the message names it.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise NotFound(f"{folder}: no finished training run there; make one with: unbraid train --out {folder}")
    try:
        config = CheckpointConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{path}: {where}: {first['msg']}; remove {folder} and train again") from None
    for name in FILES if config.ranker is None else (*FILES, *RANKER_FILES):
        if not (folder / name).is_file() or entry(folder / name) != config.files.get(name):
            raise IntegrityError(
                f"{folder / name}: missing or not as {CONFIG_FILE} lists it; remove {folder} and train again"
            )
    catalogue = Catalogue.open(folder / CATALOGUE_FILE)
    model = Model(config.settings, len(catalogue), len(config.actions))
    try:
        model.load_state_dict(load_file(folder / MODEL_FILE))
    except RuntimeError:
        raise IntegrityError(
            f"{folder / MODEL_FILE}: was made by another version of unbraid; remove {folder} and train again"
        ) from None
    statistics = load_arrays(folder / STATISTICS_FILE)
    return Checkpoint(
        settings=config.settings,
        model=model.eval(),
        actions=config.actions,
        scoring=config.scoring,
        training=config.training,
        log_popularity_I=statistics["log_popularity_I"],
        queries_QD=statistics["queries_QD"],
        catalogue=catalogue,
        ranker=None if config.ranker is None else load_ranker(config.ranker, folder),
        space_id=config.files[MODEL_FILE].sha256[:SPACE_ID_LENGTH],
    )
