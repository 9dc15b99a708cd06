"""Rankers of releases: files that do not keep the contract, and what a server ranks with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import RankerSpec, open_release
from unbraid_core.release.layout import RANKER
from unbraid_core.types import Basis, DoubleArray, FloatArray, Profile
from unbraid_server.model import Model
from unbraid_server.probe import golden_queries, probe
from unbraid_server.ranker import OnnxRanker


@pytest.fixture(scope="module")
def spec(release_learned: Path) -> RankerSpec:
    spec = open_release(release_learned).manifest.ranker
    assert spec is not None
    return spec


@pytest.fixture
def graph(release_learned: Path) -> onnx.ModelProto:
    """The ranker of the release, to be spoiled."""
    return onnx.load(release_learned / RANKER)


def opened(model: onnx.ModelProto, folder: Path, spec: RankerSpec) -> OnnxRanker:
    onnx.save(model, folder / RANKER)
    return OnnxRanker(folder / RANKER, spec)


def test_another_name_is_refused(graph: onnx.ModelProto, tmp_path: Path, spec: RankerSpec) -> None:
    graph.graph.output[0].name = graph.graph.node[0].output[0] = "variable"
    with pytest.raises(IncompatibleError, match=r"ranker\.onnx: outputs are \['variable'\], expected \['score'\]"):
        opened(graph, tmp_path, spec)


def test_a_fixed_number_of_candidates_is_refused(graph: onnx.ModelProto, tmp_path: Path, spec: RankerSpec) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 500
    with pytest.raises(IncompatibleError, match=r"input 'features' .* expected tensor\(float\) \[C, "):
        opened(graph, tmp_path, spec)


def test_another_number_of_features_is_refused(graph: onnx.ModelProto, tmp_path: Path, spec: RankerSpec) -> None:
    with pytest.raises(IncompatibleError, match=r"expected tensor\(float\) \[C, 3\]"):
        opened(graph, tmp_path, spec.model_copy(update={"features": ["a", "b", "c"]}))


def test_features_in_another_order_are_refused(graph: onnx.ModelProto, tmp_path: Path, spec: RankerSpec) -> None:
    with pytest.raises(IncompatibleError, match=r"ranker\.onnx: was exported for other features"):
        opened(graph, tmp_path, spec.model_copy(update={"features": spec.features[::-1]}))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, spec: RankerSpec) -> None:
    (tmp_path / RANKER).write_bytes(b"not a model")
    with pytest.raises(IncompatibleError, match=r"ranker\.onnx: ONNX Runtime cannot load it"):
        OnnxRanker(tmp_path / RANKER, spec)


def test_a_model_ranks_with_what_its_release_holds(model_v1: Model, model_learned: Model) -> None:
    assert model_v1.profiles == (Profile.FORMULA,)
    assert model_learned.profiles == (Profile.LEARNED, Profile.FORMULA)


def test_the_trial_of_a_release_asks_in_every_profile(model_learned: Model) -> None:
    class Broken:
        def score(self, feature_CF: FloatArray) -> DoubleArray:
            return np.full(len(feature_CF), np.nan)

    assert probe(model_learned) == len(golden_queries(model_learned))
    broken = replace(model_learned, pipeline=replace(model_learned.pipeline, ranker=Broken()))
    with pytest.raises(IncompatibleError, match="a score is not finite"):
        probe(broken)


def test_learned_scores_are_those_of_the_ranker_over_the_features(graph: onnx.ModelProto, model_learned: Model) -> None:
    [weight_F1] = graph.graph.initializer
    weight_F = onnx.numpy_helper.to_array(weight_F1)[:, 0]
    queries = [replace(query, profile=Profile.LEARNED, limit=24) for query in golden_queries(model_learned)]
    pipeline = model_learned.pipeline
    rankings, described = pipeline.recommend(queries), pipeline.features(queries)
    for query, ranking, asked in zip(queries, rankings, described, strict=True):
        if len(query.history) == 0:
            assert (ranking.basis, ranking.profile) == (Basis.POPULARITY, Profile.FORMULA)
            continue
        score_of = dict(zip(asked.row_C.tolist(), (asked.feature_CF @ weight_F).tolist(), strict=True))
        assert sorted(ranking.row_R.tolist()) == sorted(score_of)
        np.testing.assert_allclose(ranking.score_R, [score_of[row] for row in ranking.row_R.tolist()], atol=1e-4)
        assert ranking.profile is Profile.LEARNED
