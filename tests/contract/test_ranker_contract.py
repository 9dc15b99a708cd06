"""What every Ranker promises, run on each implementation. A new one gets a line in RANKERS."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import torch

from unbraid_core.ports import Ranker
from unbraid_core.release import open_release
from unbraid_core.release.layout import RANKER
from unbraid_core.types import FloatArray
from unbraid_exporter.onnx_export import export_network
from unbraid_exporter.ranker_onnx import export_trees
from unbraid_server.ranker import OnnxRanker
from unbraid_training.ranker.booster import BoosterRanker
from unbraid_training.ranker.network import InteractionNetwork, NetworkRanker

FEATURES = [f"feature_{position}" for position in range(6)]
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Subject:
    """A ranker under test, and how many features it reads."""

    ranker: Ranker
    feature_count: int


def linear_ranker(release_learned: Path, _: Path) -> Subject:
    """The ranker of a release under ONNX Runtime: a weighted sum."""
    release = open_release(release_learned)
    spec = release.manifest.ranker
    assert spec is not None
    return Subject(OnnxRanker(release.path(RANKER), spec), len(spec.features))


def trees() -> lightgbm.Booster:
    """Trees over two of six features."""
    rng = np.random.default_rng(1)
    feature_CF = rng.normal(size=(2_000, len(FEATURES))).astype(np.float32)
    label_C = feature_CF[:, 0] * feature_CF[:, 1] + 0.3 * rng.normal(size=2_000) > 0
    settings = {"objective": "binary", "num_threads": 1, "verbose": -1, "deterministic": True}
    data = lightgbm.Dataset(feature_CF, label_C, feature_name=FEATURES)
    return lightgbm.train(settings, data, num_boost_round=30)


def booster_ranker(_release: Path, _folder: Path) -> Subject:
    """The trees under LightGBM, as training asks them."""
    return Subject(BoosterRanker(trees().model_to_string()), len(FEATURES))


def exported_trees(release_learned: Path, folder: Path) -> Subject:
    """The same trees under ONNX Runtime."""
    export_trees(trees(), folder / RANKER)
    return opened(release_learned, folder / RANKER)


def network() -> InteractionNetwork:
    """A network of random weights."""
    torch.manual_seed(1)
    return InteractionNetwork(len(FEATURES), hidden_count=16).eval()


def network_ranker(_release: Path, _folder: Path) -> Subject:
    """The network under PyTorch, as training asks it."""
    return Subject(NetworkRanker(network(), FEATURES), len(FEATURES))


def exported_network(release_learned: Path, folder: Path) -> Subject:
    """The same network under ONNX Runtime."""
    export_network(network(), FEATURES, folder / RANKER)
    return opened(release_learned, folder / RANKER)


def opened(release_learned: Path, path: Path) -> Subject:
    """An exported ranker of FEATURES as the server opens it."""
    spec = open_release(release_learned).manifest.ranker
    assert spec is not None
    return Subject(OnnxRanker(path, spec.model_copy(update={"features": FEATURES})), len(FEATURES))


RANKERS: dict[str, Callable[[Path, Path], Subject]] = {
    "linear": linear_ranker,
    "lightgbm": booster_ranker,
    "lightgbm in onnx": exported_trees,
    "network": network_ranker,
    "network in onnx": exported_network,
}


@pytest.fixture(scope="module", params=RANKERS)
def subject(request: pytest.FixtureRequest, release_learned: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return RANKERS[request.param](release_learned, tmp_path_factory.mktemp("ranker"))


def features_of(subject: Subject, count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(count, subject.feature_count)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 63, 500, 8_000])
def test_every_candidate_gets_a_finite_score(subject: Subject, count: int) -> None:
    score_C = subject.ranker.score(features_of(subject, count))
    assert score_C.shape == (count,)
    assert score_C.dtype == np.float64
    assert np.isfinite(score_C).all()
    assert count < 2 or np.ptp(score_C) > 0


def test_no_score_depends_on_the_other_candidates(subject: Subject) -> None:
    feature_CF = features_of(subject, 700)
    together_C = subject.ranker.score(feature_CF)
    for size in (1, 3, 64, 511):
        apart = [subject.ranker.score(feature_CF[start : start + size]) for start in range(0, 700, size)]
        np.testing.assert_allclose(np.concatenate(apart), together_C, atol=TOLERANCE)


def test_the_order_of_candidates_does_not_matter(subject: Subject) -> None:
    feature_CF = features_of(subject, 300)
    shuffled_C = np.random.default_rng(1).permutation(300)
    expected_C = subject.ranker.score(feature_CF)[shuffled_C]
    np.testing.assert_allclose(subject.ranker.score(feature_CF[shuffled_C]), expected_C, atol=TOLERANCE)


def test_equal_questions_get_equal_answers_from_many_threads(subject: Subject) -> None:
    questions = [features_of(subject, 50 + seed, seed) for seed in range(8)]
    expected = [subject.ranker.score(feature_CF) for feature_CF in questions]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(subject.ranker.score, questions * 5))
    for position, answer_C in enumerate(answers):
        np.testing.assert_array_equal(answer_C, expected[position % len(questions)])
