"""What load is made of: when calls are due, and who is asked about."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from random import Random
from statistics import fmean, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_load import CallKind, Question, Step, draw_histories, parse_steps, prepare
from unbraid_load.arrivals import poisson_times
from unbraid_load.audience import turns
from unbraid_load.zipf import Zipf

ITEMS = [f"item-{number}" for number in range(200)]


def test_gaps_are_those_of_a_poisson_process() -> None:
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(poisson_times([Step(100, 200)], 1.0, Random(1)))]
    assert fmean(gaps) == pytest.approx(0.01, rel=0.03)
    assert pstdev(gaps) == pytest.approx(0.01, rel=0.03)
    assert median(gaps) == pytest.approx(0.01 * 0.693, rel=0.03)


def test_every_step_has_its_rate_and_its_time() -> None:
    due = list(poisson_times([Step(200, 10), Step(1_000, 5), Step(50, 20)], 0.5, Random(2)))
    assert due == sorted(due)
    assert Counter(step for _, step in due) == pytest.approx({0: 1_000, 1: 2_500, 2: 500}, rel=0.1)
    assert all((0 <= at < 10, 10 <= at < 15, 15 <= at < 35)[step] for at, step in due)


def test_rates_are_written_alone_or_in_steps() -> None:
    assert parse_steps("200", 7.0) == [Step(200, 7)]
    assert parse_steps("100:10s, 2.5:0.5", 7.0) == [Step(100, 10), Step(2.5, 0.5)]


@pytest.mark.parametrize("text", ["", "fast", "100:", "0", "-5", "nan", "inf", "100:0s", "100,,200", "10:5m"])
def test_a_rate_that_is_none_is_refused_by_its_name(text: str) -> None:
    if text == "100:":
        assert parse_steps(text, 3.0) == [Step(100, 3)]
        return
    with pytest.raises(ValueError, match="write calls a second, such as 200"):
        parse_steps(text, 7.0)


def test_zipf_draws_the_first_most_often() -> None:
    drawn = Counter(Zipf(4, 1.0).draw(Random(3), 25_000))
    assert {rank: count / 12_000 for rank, count in drawn.items()} == pytest.approx(
        {0: 1.0, 1: 1 / 2, 2: 1 / 3, 3: 1 / 4}, rel=0.06
    )


def test_passers_by_come_in_turn_and_regulars_again_and_again() -> None:
    drawn = list(islice(turns(1_000, 0.5, 0.0, Random(4)), 1_800))
    passing = [each for each in drawn if each >= 100]
    assert passing == [100 + number % 900 for number in range(len(passing))]
    assert len(passing) == pytest.approx(900, rel=0.1)
    assert min(Counter(each for each in drawn if each < 100).values(), default=0) >= 1


@given(subject_count=st.integers(1, 50), repeat_share=st.floats(0, 1), share_before=st.floats(0, 1), seed=st.integers())
def test_turns_are_always_those_of_subjects(
    subject_count: int, repeat_share: float, share_before: float, seed: int
) -> None:
    drawn = islice(turns(subject_count, repeat_share, share_before, Random(seed)), 100)
    assert all(0 <= each < subject_count for each in drawn)


def test_histories_are_drawn_from_a_seed_out_of_the_past() -> None:
    drawn = draw_histories(ITEMS, 400, 30, 50, now_s=1e9, seed=5)
    assert drawn == draw_histories(ITEMS, 400, 30, 50, now_s=1e9, seed=5)
    assert drawn != draw_histories(ITEMS, 400, 30, 50, now_s=1e9, seed=6)
    lengths = [len(history) for history in drawn]
    assert (min(lengths) >= 1, max(lengths)) == (True, 50)
    assert median(lengths) == pytest.approx(30, rel=0.15)


def test_requests_are_about_their_subjects() -> None:
    [history] = draw_histories(ITEMS, 1, 3, 3, now_s=1e9, seed=7)
    by_id, by_history = prepare(CallKind.RECOMMEND, Question(limit=7, include_seen=True), ["u", history], batch_size=9)
    assert pb.RecommendRequest.FromString(by_id) == pb.RecommendRequest(
        user_id="u", limit=7, seen_items=pb.SEEN_ITEMS_INCLUDE
    )
    events = pb.RecommendRequest.FromString(by_history).history.events
    assert [event.item_id for event in events] == [event.item_id for event in history if not isinstance(event, str)]
    assert all(event.event_time.seconds <= 1e9 for event in events)
