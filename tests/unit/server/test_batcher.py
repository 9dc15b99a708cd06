"""The batcher: alone at once, together while others are answered, and nobody is forgotten, whatever happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event, Thread, get_ident

import numpy as np
import pytest

from unbraid_core.errors import CallerGone, InvalidInput, Overloaded
from unbraid_core.ports import Encoder
from unbraid_core.types import History, HistoryBatch, InterestBatch, Profile, Query, Ranking
from unbraid_server.batch_record import ShedReason
from unbraid_server.batcher import Batcher
from unbraid_server.model import Model
from unbraid_server.serving_figures import ServingFigures

TIMEOUT_S = 20.0
NOW_S = 1_767_500_000.0


@dataclass
class Someone:
    """A caller who waits as long as it is told."""

    active: bool = True
    remaining_s: float | None = None

    def is_active(self) -> bool:
        return self.active

    def time_remaining(self) -> float | None:
        return self.remaining_s


class Gate:
    """An encoder that writes down its batches and lets a test hold one of them back."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.batch_sizes: list[int] = []
        self.threads: list[int] = []
        self.entered, self.opened = Event(), Event()
        self.opened.set()

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        self.batch_sizes.append(len(batch.mask_BL))
        self.threads.append(get_ident())
        self.entered.set()
        assert self.opened.wait(TIMEOUT_S)
        return self._encoder.encode(batch)


@pytest.fixture
def gate(model_v1: Model) -> Gate:
    return Gate(model_v1.pipeline.encoder)


@pytest.fixture
def gated(model_v1: Model, gate: Gate) -> Model:
    return replace(model_v1, pipeline=replace(model_v1.pipeline, encoder=gate))


def question(seed: int) -> Query:
    rng = np.random.default_rng(seed)
    times_s = np.sort(NOW_S - rng.integers(1, 10**6, 5).astype(np.float64))
    return Query(History(rng.integers(0, 24, 5), times_s, np.zeros(5, np.int64)), NOW_S, limit=5)


def rows(rankings: Sequence[Ranking]) -> list[list[int]]:
    return [ranking.row_R.tolist() for ranking in rankings]


class Crowd:
    """Callers in threads of their own, behind a first one that the gate holds back."""

    def __init__(self, batcher: Batcher, model: Model, gate: Gate) -> None:
        self.batcher, self.model, self.gate = batcher, model, gate
        self.pool = ThreadPoolExecutor(16)
        gate.opened.clear()
        gate.entered.clear()
        gate.batch_sizes.clear()
        self.pool.submit(batcher.recommend, model, [question(0)], Someone(), "first")
        assert gate.entered.wait(TIMEOUT_S)

    def ask(
        self, *queries: Query, caller: Someone | None = None, client: str = "c", model: Model | None = None
    ) -> Future[list[Ranking]]:
        """Ask, and return when the call waits or was refused."""
        before = self.batcher.waiting_count
        asked = self.pool.submit(self.batcher.recommend, model or self.model, queries, caller or Someone(), client)
        while not asked.done() and self.batcher.waiting_count == before:
            pass
        return asked


def test_a_lone_caller_is_answered_in_its_own_thread(gated: Model, gate: Gate, model_v1: Model) -> None:
    batcher = Batcher(8, 8)
    for seed in range(3):
        assert rows(batcher.recommend(gated, [question(seed)], Someone(), "c")) == rows(
            model_v1.pipeline.recommend([question(seed)])
        )
    assert (gate.batch_sizes, set(gate.threads)) == ([1, 1, 1], {get_ident()})


def test_who_comes_meanwhile_is_answered_together(gated: Model, gate: Gate, model_v1: Model) -> None:
    crowd = Crowd(Batcher(4, 16), gated, gate)
    asked = [crowd.ask(question(seed)) for seed in range(1, 7)]
    gate.opened.set()
    found = [rows(each.result(TIMEOUT_S)) for each in asked]
    assert found == [rows(model_v1.pipeline.recommend([question(seed)])) for seed in range(1, 7)]
    assert gate.batch_sizes == [1, 4, 2]


def test_calls_with_many_queries_stay_whole(gated: Model, gate: Gate, model_v1: Model) -> None:
    crowd = Crowd(Batcher(4, 16), gated, gate)
    many = crowd.ask(*[question(seed) for seed in range(6)])
    one = crowd.ask(question(9))
    gate.opened.set()
    assert rows(many.result(TIMEOUT_S)) == rows(model_v1.pipeline.recommend([question(seed) for seed in range(6)]))
    assert rows(one.result(TIMEOUT_S)) == rows(model_v1.pipeline.recommend([question(9)]))
    assert gate.batch_sizes == [1, 6, 1]


def test_models_never_meet_in_a_batch(gated: Model, gate: Gate) -> None:
    other = replace(gated, pipeline=replace(gated.pipeline))
    crowd = Crowd(Batcher(8, 16), gated, gate)
    asked = [crowd.ask(question(seed), model=[gated, other][seed % 2]) for seed in range(1, 5)]
    gate.opened.set()
    for each in asked:
        each.result(TIMEOUT_S)
    assert gate.batch_sizes == [1, 1, 1, 1, 1]


def test_only_whose_fault_it_is_fails(gated: Model, gate: Gate) -> None:
    crowd = Crowd(Batcher(8, 16), gated, gate)
    right = [crowd.ask(question(seed)) for seed in range(1, 4)]
    wrong = crowd.ask(replace(question(9), profile=Profile.LEARNED))
    gate.opened.set()
    for each in right:
        assert len(each.result(TIMEOUT_S)) == 1
    with pytest.raises(InvalidInput, match="this release has no ranker"):
        wrong.result(TIMEOUT_S)


def test_who_left_is_dropped_and_the_others_are_answered(gated: Model, gate: Gate) -> None:
    crowd = Crowd(Batcher(8, 16), gated, gate)
    callers = [Someone() for _ in range(4)]
    asked = [crowd.ask(question(seed), caller=caller) for seed, caller in enumerate(callers)]
    callers[0].active = callers[2].active = False
    gate.opened.set()
    for each, caller in zip(asked, callers, strict=True):
        if caller.active:
            assert len(each.result(TIMEOUT_S)) == 1
        else:
            with pytest.raises(CallerGone):
                each.result(TIMEOUT_S)
    assert gate.batch_sizes == [1, 2]


def test_too_many_are_refused_at_once(gated: Model, gate: Gate) -> None:
    crowd = Crowd(Batcher(8, 2), gated, gate)
    asked = [crowd.ask(question(seed)) for seed in range(1, 3)]
    with pytest.raises(Overloaded, match="2 questions wait already") as refused:
        crowd.ask(question(3)).result(TIMEOUT_S)
    assert refused.value.retry_after_s > 0
    gate.opened.set()
    assert [len(each.result(TIMEOUT_S)) for each in asked] == [1, 1]


def test_a_modest_client_takes_the_place_of_a_greedy_one(gated: Model, gate: Gate) -> None:
    crowd = Crowd(Batcher(8, 2), gated, gate)
    greedy = [crowd.ask(question(seed), client="greedy") for seed in range(1, 3)]
    modest = crowd.pool.submit(crowd.batcher.recommend, gated, [question(3)], Someone(), "modest")
    with pytest.raises(Overloaded):
        greedy[1].result(TIMEOUT_S)
    gate.opened.set()
    assert len(greedy[0].result(TIMEOUT_S)) == len(modest.result(TIMEOUT_S)) == 1


def test_a_deadline_that_cannot_be_met_is_refused_at_once(gated: Model, gate: Gate) -> None:
    clock = iter(float(second) for second in range(10**6))
    batcher = Batcher(8, 16, clock=lambda: next(clock))
    for seed in range(30):
        batcher.recommend(gated, [question(seed)], Someone(), "c")  # each takes a second by that clock
    crowd = Crowd(batcher, gated, gate)
    with pytest.raises(Overloaded, match="an answer takes about 1 s now, the deadline is earlier"):
        crowd.ask(question(1), caller=Someone(remaining_s=0.5)).result(TIMEOUT_S)
    patient = crowd.ask(question(2), caller=Someone(remaining_s=60.0))
    gate.opened.set()
    assert len(patient.result(TIMEOUT_S)) == 1


@pytest.mark.timeout(60)
def test_nobody_is_forgotten_in_a_long_rush(model_v1: Model) -> None:
    batcher = Batcher(4, 12)
    expected = {seed: rows(model_v1.pipeline.recommend([question(seed)])) for seed in range(20)}
    outcomes: list[str] = []

    def rush(number: int) -> None:
        rng = random.Random(number)
        for _ in range(60):
            seed = rng.randrange(20)
            caller = Someone(active=rng.random() < 0.8, remaining_s=rng.choice([None, 0.0, 10.0]))
            try:
                found = rows(batcher.recommend(model_v1, [question(seed)], caller, str(number % 3)))
            except (Overloaded, CallerGone) as error:
                outcomes.append(type(error).__name__)
            else:
                assert found == expected[seed]
                outcomes.append("answered")

    threads = [Thread(target=rush, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len(outcomes) == 16 * 60
    assert set(outcomes) == {"answered", "Overloaded", "CallerGone"}
    assert batcher.waiting_count == 0
    assert len(batcher.recommend(model_v1, [question(1)], Someone(), "c")) == 1


def test_who_watches_is_told_of_every_batch_and_of_who_was_not_answered(gated: Model, gate: Gate) -> None:
    clock = iter(float(second) for second in range(10**6))
    figures = ServingFigures()
    crowd = Crowd(Batcher(4, 3, lambda: next(clock), figures), gated, gate)
    leaving = Someone()
    asked = [crowd.ask(question(1)), crowd.ask(question(2)), crowd.ask(question(3), caller=leaving)]
    too_many = crowd.ask(question(4))
    leaving.active = False
    gate.opened.set()
    assert [len(each.result(TIMEOUT_S)) for each in asked[:2]] == [1, 1]
    for refused, error in ((asked[2], CallerGone), (too_many, Overloaded)):
        with pytest.raises(error):
            refused.result(TIMEOUT_S)
    gate.opened.clear()
    gate.entered.clear()
    held = crowd.pool.submit(crowd.batcher.recommend, gated, [question(5)], Someone(), "first")
    assert gate.entered.wait(TIMEOUT_S)
    with pytest.raises(Overloaded):
        crowd.ask(question(6), caller=Someone(remaining_s=0.0)).result(TIMEOUT_S)
    gate.opened.set()
    assert len(held.result(TIMEOUT_S)) == 1
    told = figures.snapshot()
    assert told.shed == dict.fromkeys((ShedReason.QUEUE_FULL, ShedReason.DEADLINE, ShedReason.CALLER_GONE), 1) | {
        ShedReason.TOO_MANY: 0
    }
    assert (sum(told.batch_sizes.counts), told.batch_sizes.total) == (3, 4)
    assert {sum(stage.counts) for stage in told.stages_s.values()} == {3}
