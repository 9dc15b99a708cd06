"""The probe of a release, before it may become active."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import IncompatibleError
from unbraid_core.ports import Encoder, Searcher
from unbraid_core.types import BoolArray, FloatArray, HistoryBatch, InterestBatch, SearchHits
from unbraid_server.model import Model
from unbraid_server.probe import golden_queries, probe


def probe_process(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unbraid_server.probe", str(folder)], capture_output=True, text=True, check=False
    )


def test_a_sound_release_answers(release_v1: Path) -> None:
    done = probe_process(release_v1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "24 items, 16 golden queries answered" in done.stdout


def test_a_changed_release_is_refused_in_one_line(release_v1: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(release_v1, tmp_path / "release")
    with (folder / "user_encoder.onnx").open("r+b") as file:
        file.seek(500)
        file.write(b"\0\0\0\0")
    done = probe_process(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "user_encoder.onnx" in done.stderr


def test_queries_are_repeatable_and_cover_the_edges(model_v1: Model) -> None:
    lengths = [len(query.history) for query in golden_queries(model_v1)]
    assert {0, 1, model_v1.pipeline.max_history, model_v1.pipeline.max_history + 1} <= set(lengths)
    for first, second in zip(golden_queries(model_v1), golden_queries(model_v1), strict=True):
        np.testing.assert_array_equal(first.history.row_N, second.history.row_N)


@dataclass(frozen=True)
class Spoiled:
    """An encoder whose answers are changed."""

    encoder: Encoder
    spoil: Callable[[InterestBatch], InterestBatch]

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        return self.spoil(self.encoder.encode(batch))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda answer: InterestBatch(answer.vectors_BKD * 2, answer.assignment_BKL), "not of unit length"),
        (lambda answer: InterestBatch(answer.vectors_BKD, answer.assignment_BKL / 2), "do not sum to 1"),
        (
            lambda answer: InterestBatch(answer.vectors_BKD, answer.assignment_BKL * np.float32("nan")),
            "do not sum to 1",
        ),
        (
            lambda answer: InterestBatch(answer.vectors_BKD * np.float32("nan"), answer.assignment_BKL),
            "not of unit length",
        ),
    ],
)
def test_an_encoder_that_breaks_a_rule_is_found(
    model_v1: Model, spoil: Callable[[InterestBatch], InterestBatch], problem: str
) -> None:
    pipeline = replace(model_v1.pipeline, encoder=Spoiled(model_v1.pipeline.encoder, spoil))
    with pytest.raises(IncompatibleError, match=problem):
        probe(replace(model_v1, pipeline=pipeline))


@dataclass(frozen=True)
class Repeating:
    """A searcher that finds every row twice."""

    searcher: Searcher

    @property
    def size(self) -> int:
        return self.searcher.size

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        hits = self.searcher.search(query_QD, count, allowed_I)
        row_QC = hits.row_QC.copy()
        row_QC[:, 1::2] = row_QC[:, : row_QC.shape[1] // 2 * 2 : 2]
        return SearchHits(row_QC, hits.score_QC)


def test_a_sloppy_index_still_gives_whole_lists_of_different_items(model_v1: Model) -> None:
    pipeline = replace(model_v1.pipeline, searcher=Repeating(model_v1.pipeline.searcher))
    assert probe(replace(model_v1, pipeline=pipeline)) == len(golden_queries(model_v1))
