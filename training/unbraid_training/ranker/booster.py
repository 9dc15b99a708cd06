"""The ranker: gradient-boosted trees over the features of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import lightgbm
import numpy as np

from unbraid_core.features import FEATURE_NAMES
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_training.evaluation.metrics import RANK_COUNT
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.ranker.examples import RankerExamples

__all__ = ["BoosterRanker", "fit_booster"]

# What LightGBM calls them.
OBJECTIVES = {"log-loss": "binary", "lambdarank": "lambdarank"}
MOST_OF_A_USER = 10_000
"""Candidates; LightGBM refuses to order more."""


class BoosterRanker:
    """A LightGBM model behind the Ranker port.

    Args:
        text: of the model, as LightGBM writes it.
    """

    file_name: ClassVar[str] = "ranker.txt"

    def __init__(self, text: str) -> None:
        self.text = text
        self.booster = lightgbm.Booster(model_str=text)

    @classmethod
    def read(cls, path: Path) -> BoosterRanker:
        """Read what ``write`` wrote."""
        return cls(path.read_text())

    def write(self, path: Path) -> None:
        """Write the text."""
        path.write_text(self.text)

    @property
    def features(self) -> list[str]:
        """Names of its columns, in order."""
        return list(self.booster.feature_name())

    def score(self, feature_CF: FloatArray) -> DoubleArray:
        """The sum of the trees, for each candidate: float64 [C]."""
        return np.asarray(self.booster.predict(feature_CF, raw_score=True, num_threads=1), np.float64)


def fit_booster(parts: Sequence[RankerExamples], config: RankerConfig, seed: int) -> BoosterRanker:
    """Fit the trees; the same examples and seed give the same model.

    By the log loss their scores are log odds over pairs, by LambdaRank they only order the candidates of a user:
    ``Calibration`` makes probabilities of both.
    """
    settings = {
        "objective": OBJECTIVES[config.objective],
        "lambdarank_truncation_level": RANK_COUNT,
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaf_count,
        "min_data_in_leaf": config.leaf_example_count,
        "feature_fraction": config.feature_share,
        "lambda_l2": config.leaf_regularisation,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    examples = RankerExamples.concatenated(parts).first_of_each_user(MOST_OF_A_USER)
    data = lightgbm.Dataset(
        examples.feature_CF,
        examples.taken_C,
        group=examples.size_Q,
        feature_name=list(FEATURE_NAMES),
        params={"verbose": -1},
    )
    booster = lightgbm.train(settings, data, config.tree_count)
    return BoosterRanker(booster.model_to_string())
