"""The first answers of a model: in all sizes that calls will have, and wrong ones are found before a call gets them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from unbraid_core.errors import IncompatibleError
from unbraid_core.ports import Encoder
from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_server.active_model import ActiveModel
from unbraid_server.model import Model
from unbraid_server.probe import golden_queries
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.warm_up import warm_up


@dataclass(frozen=True)
class Watched:
    """An encoder that remembers how many histories it had at once, and can lose half of each interest."""

    encoder: Encoder
    factor: float = 1.0
    sizes: list[int] = field(default_factory=list)

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        answer = self.encoder.encode(batch)
        self.sizes.append(len(answer.vectors_BKD))
        return InterestBatch(answer.vectors_BKD * self.factor, answer.assignment_BKL)


def watched(model: Model, factor: float = 1.0) -> tuple[Model, Watched]:
    encoder = Watched(model.pipeline.encoder, factor)
    return replace(model, pipeline=replace(model.pipeline, encoder=encoder)), encoder


@pytest.mark.parametrize("batch_limit", [7, 40])
def test_questions_are_answered_alone_and_in_full_batches(model_learned: Model, batch_limit: int) -> None:
    model, encoder = watched(model_learned)
    warm_up(model, batch_limit)
    with_history = [bool(len(query.history)) for query in golden_queries(model)]
    full = sum(with_history[place % len(with_history)] for place in range(batch_limit))
    assert encoder.sizes.count(1) >= len(model.profiles) * sum(with_history)
    assert encoder.sizes.count(full) >= len(model.profiles)


def test_a_model_that_answers_wrongly_is_refused_before_the_first_call(
    model_v1: Model, unchanged: SqliteCatalogueStore
) -> None:
    model, _ = watched(model_v1, factor=0.5)
    with pytest.raises(IncompatibleError, match="not of unit length"):
        ActiveModel(model, unchanged, batch_limit=4).warm_up()
