"""A checkpoint with a ranker: what its export holds, and that candidates are described in serving as in training."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import torch

from unbraid_cli.export import export_and_compare
from unbraid_core.calibration import Calibration
from unbraid_core.errors import IncompatibleError
from unbraid_core.factors import Factors
from unbraid_core.features import FEATURE_NAMES
from unbraid_core.interactions import product_names
from unbraid_core.item_statistics import STATISTIC_NAMES, ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.pipeline import Pipeline
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release import ReleaseStore, open_export
from unbraid_core.release.layout import RANKER_FILES
from unbraid_core.types import History, Profile, Query
from unbraid_exporter.ranker_files import RANKER_PARITY_REPORT, write_ranker
from unbraid_exporter.ranker_parity import RankerParityReport
from unbraid_index.exact import ExactSearcher
from unbraid_index.release_build import build_release
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.ranker.booster import BoosterRanker
from unbraid_training.ranker.heads import Head
from unbraid_training.ranker.network import InteractionNetwork, NetworkRanker
from unbraid_training.ranker.trained import TrainedRanker
from unbraid_training.torch_encoder import TorchEncoder

DAY_S = 86_400.0
DEPTH = 30


def booster_text(features: list[str]) -> str:
    """Trees over features of all sizes, with a say for each of them."""
    rng = np.random.default_rng(8)
    feature_CF = (rng.normal(size=(4_000, len(features))) * rng.choice([1.0, 10.0, 100.0], len(features))).round(3)
    label_C = (np.sign(feature_CF).sum(axis=1) > 2) ^ (rng.random(4_000) < 0.1)
    settings = {"objective": "binary", "num_threads": 1, "verbose": -1, "deterministic": True, "num_leaves": 15}
    booster = lightgbm.train(settings, lightgbm.Dataset(feature_CF, label_C, feature_name=features), 40)
    return str(booster.model_to_string())


def network_ranker(dimension: int) -> NetworkRanker:
    """A network of random weights with a say for the features and the product."""
    torch.manual_seed(8)
    features = [*FEATURE_NAMES, *product_names(dimension)]
    network = InteractionNetwork(len(features), hidden_count=16)
    network.spread_F[:] = torch.tensor([1.0] * len(FEATURE_NAMES) + [1 / dimension] * dimension)
    return NetworkRanker(network.eval(), features)


@pytest.fixture(scope="module", params=["trees", "interactions"])
def head(request: pytest.FixtureRequest, checkpoint: Checkpoint) -> Head:
    if request.param == "trees":
        return BoosterRanker(booster_text(list(FEATURE_NAMES)))
    return network_ranker(checkpoint.settings.dimension)


@pytest.fixture(scope="module")
def ranked(checkpoint: Checkpoint, head: Head) -> Checkpoint:
    """The checkpoint with a ranker whose inputs are out of a hat."""
    rng = np.random.default_rng(7)
    item_count = len(checkpoint.catalogue)
    statistic_IS = rng.normal(size=(item_count, len(STATISTIC_NAMES))).astype(np.float32)
    inputs = RankerInputs(
        neighbours=Neighbours(
            rng.integers(0, item_count, (item_count, 20), np.int32),
            rng.normal(size=(item_count, 20)).astype(np.float32),
            30 * DAY_S,
        ),
        factors=Factors(rng.normal(size=(item_count, 8)).astype(np.float32), confidence=10.0, regularisation=2.0),
        statistics=ItemStatistics(statistic_IS, checkpoint.training.last_event_time.timestamp()),
        depth=DEPTH,
        product=isinstance(head, NetworkRanker),
    )
    ranker = TrainedRanker(head, inputs, 3, Calibration(1.0, 0.0), {"new ndcg@50": 0.25})
    return replace(checkpoint, ranker=ranker)


@dataclass(frozen=True)
class Exported:
    """An export, and what the command said about it."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def exported(ranked: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("ranked") / "export"
    with redirect_stdout(StringIO()) as said:
        export_and_compare(ranked, folder)
    return Exported(folder, said.getvalue())


def test_the_export_holds_the_ranker_with_its_inputs(ranked: Checkpoint, exported: Exported) -> None:
    export = open_export(exported.folder)
    trained, spec, inputs = ranked.ranker, export.manifest.ranker, export.ranker_inputs
    assert trained is not None
    assert spec is not None
    assert inputs is not None
    trees = isinstance(trained.head, BoosterRanker)
    products = () if trees else product_names(ranked.settings.dimension)
    assert spec.features == [*FEATURE_NAMES, *products]
    assert (spec.head, spec.tree_count) == (("trees", 40) if trees else ("interactions", None))
    assert (spec.depth, spec.common_user_count) == (DEPTH, 3)
    assert {*RANKER_FILES, RANKER_PARITY_REPORT} <= export.manifest.files.keys()
    report = RankerParityReport.model_validate_json(export.path(RANKER_PARITY_REPORT).read_bytes())
    assert 0.0 < spec.parity_max_difference == report.max_difference <= report.tolerance
    assert report.library == ("LightGBM" if trees else "PyTorch")
    assert f"differ from {report.library} by at most {spec.parity_max_difference:.1e} in " in exported.said
    training = json.loads(export.path("reports/training.json").read_text())
    assert training["ranker_validation"] == {"new ndcg@50": 0.25}
    assert (inputs.neighbours.half_life_s, inputs.depth) == (30 * DAY_S, DEPTH)
    assert (inputs.factors.confidence, inputs.factors.regularisation) == (10.0, 2.0)
    assert inputs.statistics.reference_time_s == trained.inputs.statistics.reference_time_s
    np.testing.assert_array_equal(inputs.neighbours.row_IM, trained.inputs.neighbours.row_IM)
    np.testing.assert_array_equal(inputs.neighbours.weight_IM, trained.inputs.neighbours.weight_IM)
    np.testing.assert_array_equal(inputs.factors.vector_IF, trained.inputs.factors.vector_IF)
    np.testing.assert_array_equal(inputs.statistics.value_IS, trained.inputs.statistics.value_IS)


def test_a_ranker_of_other_features_is_not_exported(ranked: Checkpoint, tmp_path: Path) -> None:
    assert ranked.ranker is not None
    other = replace(ranked.ranker, head=BoosterRanker(booster_text([*FEATURE_NAMES[1:], FEATURE_NAMES[0]])))
    with pytest.raises(IncompatibleError, match="the ranker of the checkpoint: feature 0 is 'log_share'"):
        write_ranker(other, ranked.settings.dimension, tmp_path)


def test_what_is_served_describes_and_ranks_candidates_as_training_does(
    ranked: Checkpoint, exported: Exported, tmp_path: Path
) -> None:
    assert ranked.ranker is not None
    trained = Pipeline(
        encoder=TorchEncoder(ranked.encoder),
        searcher=ExactSearcher(ranked.item_vectors_ID),
        item_vectors_ID=ranked.item_vectors_ID,
        log_popularity_I=ranked.log_popularity_I,
        popular_row_I=np.argsort(-ranked.log_popularity_I, kind="stable"),
        half_life_s_K=ranked.half_life_s_K,
        scoring=ranked.scoring,
        max_history=ranked.settings.max_history,
        ranker_inputs=ranked.ranker.inputs,
        ranker=ranked.ranker.head,
    )
    store = ReleaseStore(tmp_path)
    built = build_release(exported.folder, store, ranked.training.last_event_time, recall_target=0.99)
    served = load_model(store.open(built.manifest.release_id), Device.CPU).pipeline
    queries = make_queries(len(ranked.catalogue), ranked.training.last_event_time.timestamp())

    for ours, theirs in zip(served.features(queries), trained.features(queries), strict=True):
        np.testing.assert_array_equal(ours.row_C, theirs.row_C)
        np.testing.assert_array_equal(ours.source_C, theirs.source_C)
        np.testing.assert_allclose(ours.feature_CF, theirs.feature_CF, rtol=1e-4, atol=1e-4)
    for answer, expected in zip(served.recommend(queries), trained.recommend(queries), strict=True):
        np.testing.assert_array_equal(answer.row_R, expected.row_R)
        np.testing.assert_allclose(answer.score_R, expected.score_R, atol=1e-4)


def make_queries(item_count: int, last_event_time_s: float) -> list[Query]:
    """People with short and long histories who ask on the next day, every second one for known items too."""
    rng = np.random.default_rng(9)
    now_s = last_event_time_s + DAY_S
    return [
        Query(
            History(
                row_N=rng.integers(0, item_count, length),
                time_s_N=np.sort(now_s - rng.uniform(0.0, 200 * DAY_S, length)),
                action_N=rng.integers(0, 3, length),
            ),
            now_s,
            limit=30,
            include_seen=length % 2 == 0,
            profile=Profile.LEARNED,
        )
        for length in (1, 2, 5, 12, 33, 60, 100)
    ]
