"""Responses are written without messages; read back, they are the messages that they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import weigh_evidence
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.types import (
    Basis,
    Effort,
    History,
    Interests,
    Profile,
    Query,
    Ranking,
    ScoreTerms,
    SearchPlan,
    Source,
)
from unbraid_server.model import Model
from unbraid_server.recommender import Answer
from unbraid_server.responses import get_interests_response, recommend_responses
from unbraid_server.timestamps import duration, timestamp

NOW_S = 1_780_000_000.123456
DAY_S = 86_400.0
LONG_AGO_DAYS = 1_900 * 365  # long before 1970, so that seconds are negative
SOURCES = {
    Source.INTERESTS: pb.CANDIDATE_SOURCE_INTERESTS,
    Source.OWN_ITEMS: pb.CANDIDATE_SOURCE_OWN_ITEMS,
    Source.POPULAR: pb.CANDIDATE_SOURCE_POPULAR,
    Source.NEIGHBOURS: pb.CANDIDATE_SOURCE_NEIGHBOURS,
    Source.FACTORS: pb.CANDIDATE_SOURCE_FACTORS,
}

numbers = st.floats(allow_nan=False)


@st.composite
def histories(draw: st.DrawFn, item_count: int) -> History:
    count = draw(st.integers(1, 6))
    rows = draw(st.lists(st.integers(0, item_count - 1), min_size=count, max_size=count))
    ages_s = draw(st.lists(st.floats(0.0, LONG_AGO_DAYS * DAY_S), min_size=count, max_size=count))
    return History(np.array(rows), NOW_S - np.sort(ages_s)[::-1], np.zeros(count, np.int64))


@st.composite
def all_interests(draw: st.DrawFn, model: Model) -> Interests:
    history = draw(histories(len(model.catalogue)))
    interest_count, dimension = len(model.pipeline.half_life_s_K), model.pipeline.item_vectors_ID.shape[1]
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    log_share_K = np.log(rng.dirichlet(np.ones(interest_count)))
    return Interests(
        history=history,
        vectors_KD=rng.normal(size=(interest_count, dimension)).astype(np.float32),
        assignment_KL=rng.dirichlet(np.ones(interest_count), len(history)).T.astype(np.float32),
        mass_K=np.exp(log_share_K) * draw(st.floats(0.0, 1e6)),
        log_share_K=log_share_K,
    )


@st.composite
def rankings(draw: st.DrawFn, model: Model) -> Ranking:
    count = draw(st.integers(0, 5))

    def column() -> np.ndarray:
        return np.array(draw(st.lists(numbers, min_size=count, max_size=count)), np.float64)

    interests = draw(st.none() | all_interests(model))
    speakers = st.just(-1) if interests is None else st.integers(0, len(interests.mass_K) - 1)
    rows = st.integers(0, len(model.delta.tombstone_I) - 1)
    return Ranking(
        row_R=np.array(draw(st.lists(rows, min_size=count, max_size=count)), np.int64),
        score_R=column(),
        probability_R=draw(st.none() | st.just(np.linspace(0.0, 1.0, count))),
        interest_R=np.array(draw(st.lists(speakers, min_size=count, max_size=count)), np.int64),
        source_R=np.array(draw(st.lists(st.integers(0, 31), min_size=count, max_size=count)), np.int64),
        terms=ScoreTerms(column(), column(), column(), column()),
        basis=Basis.POPULARITY if interests is None else Basis.INTERESTS,
        profile=draw(st.sampled_from(Profile)),
        interests=interests,
        removed={},
        plan=draw(st.none() | st.sampled_from(SearchPlan)),
        matching_count=draw(st.none() | st.integers(0, 9)),
        allowed_count=draw(st.integers(0, 9)),
        effort=draw(st.sampled_from(Effort)),
    )


def recommendation_messages(model: Model, ranking: Ranking) -> Iterable[pb.Recommendation]:
    for r, row in enumerate(ranking.row_R.tolist()):
        item = model.catalogue.item(row)
        terms = ranking.terms
        message = pb.Recommendation(
            item_id=item.item_id,
            title=item.title,
            categories=item.categories,
            score=ranking.score_R[r],
            terms=pb.ScoreTerms(
                affinity=terms.affinity_R[r],
                interest=terms.interest_R[r],
                popularity=terms.popularity_R[r],
                frequency=terms.frequency_R[r],
            ),
            sources=[message for source, message in SOURCES.items() if int(ranking.source_R[r]) & source],
        )
        if ranking.interest_R[r] >= 0:
            message.interest_index = int(ranking.interest_R[r])
        if ranking.probability_R is not None:
            message.probability = ranking.probability_R[r]
        yield message


def interest_messages(model: Model, interests: Interests, limit: int) -> Iterable[pb.Interest]:
    half_life_s_K = model.pipeline.half_life_s_K
    evidence = weigh_evidence(interests, NOW_S, half_life_s_K, limit)
    for k, row_E in enumerate(evidence.row_KE.tolist()):
        yield pb.Interest(
            index=k,
            mass=interests.mass_K[k],
            share=np.exp(interests.log_share_K[k]),
            half_life=duration(half_life_s_K[k]),
            evidence=[
                pb.Evidence(
                    item_id=model.catalogue.item(row).item_id,
                    title=model.catalogue.item(row).title,
                    event_time=timestamp(evidence.time_s_KE[k, e]),
                    assignment=evidence.assignment_KE[k, e],
                    weight=evidence.weight_KE[k, e],
                )
                for e, row in enumerate(row_E)
            ],
        )


def recommend_message(model: Model, ranking: Ranking, limit: int) -> pb.RecommendResponse:
    response = pb.RecommendResponse(
        release_id=model.release_id,
        recommendations=recommendation_messages(model, ranking),
        basis=pb.AnswerBasis.Value(f"ANSWER_BASIS_{ranking.basis.name}"),
        as_of_time=timestamp(NOW_S),
        ignored_event_count=3,
        profile=pb.RankingProfile.Value(f"RANKING_PROFILE_{ranking.profile.name}"),
        exhausted=ranking.allowed_count < limit,
        degraded=ranking.effort is Effort.REDUCED,
    )
    if ranking.interests is not None:
        response.interests.extend(interest_messages(model, ranking.interests, limit=3))
    if ranking.probability_R is not None and len(ranking.probability_R):
        response.expected_precision = ranking.probability_R.mean()
    if ranking.plan is not None:
        response.search_plan = filter_pb2.SearchPlan.Value(f"SEARCH_PLAN_{ranking.plan.name}")
    if ranking.matching_count is not None:
        response.matching_item_count = ranking.matching_count
    return response


@pytest.fixture(scope="module")
def changed_model(model_v1: Model) -> Model:
    """With one item changed, one added and one deleted."""
    known = model_v1.catalogue.item(0)
    vector_D = np.eye(model_v1.pipeline.item_vectors_ID.shape[1], dtype=np.float32)[0]
    vector = ItemVector(model_v1.space_id, vector_D)
    items = Item(known.item_id, "Renamed", ("new",), {}), Item("fresh", "Größe", (), {})
    changes = [ItemChange(item.item_id, item, vector, number) for number, item in enumerate(items, start=1)]
    deletion = ItemChange(model_v1.catalogue.item(1).item_id, None, sequence=3)
    return model_v1.with_changes([*changes, deletion])


@given(data=st.data(), limit=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_a_written_answer_is_the_message_that_it_stands_for(
    changed_model: Model, data: st.DataObject, limit: int
) -> None:
    ranking = data.draw(rankings(changed_model))
    query = Query(history=History.empty(), now_s=NOW_S, limit=limit)

    [written] = recommend_responses([Answer(changed_model, query, ranking, 3)])

    assert pb.RecommendResponse.FromString(written) == recommend_message(changed_model, ranking, limit)


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_answers_that_are_written_together_are_those_written_alone(changed_model: Model, data: st.DataObject) -> None:
    answers = [
        Answer(changed_model, Query(history=History.empty(), now_s=NOW_S, limit=limit), ranking, ignored_count)
        for limit, (ranking, ignored_count) in enumerate(
            data.draw(st.lists(st.tuples(rankings(changed_model), st.integers(0, 9)), min_size=2, max_size=6))
        )
    ]

    together = recommend_responses(answers)

    assert together == [written for answer in answers for written in recommend_responses([answer])]


@given(data=st.data(), evidence_limit=st.integers(1, 8), include_vectors=st.booleans())
@settings(max_examples=30, deadline=None)
def test_written_interests_are_the_messages_that_they_stand_for(
    model_v1: Model, data: st.DataObject, evidence_limit: int, *, include_vectors: bool
) -> None:
    interests = data.draw(all_interests(model_v1))
    query = Query(history=interests.history, now_s=NOW_S, limit=0)

    written = get_interests_response(model_v1, query, interests, 2, evidence_limit, include_vectors=include_vectors)

    expected = pb.GetInterestsResponse(
        release_id=model_v1.release_id,
        interests=interest_messages(model_v1, interests, evidence_limit),
        as_of_time=timestamp(NOW_S),
        ignored_event_count=2,
        space_id=model_v1.space_id,
    )
    if include_vectors:
        for message, vector_D in zip(expected.interests, interests.vectors_KD, strict=True):
            message.vector = vector_D.astype("<f4").tobytes()
    assert pb.GetInterestsResponse.FromString(written) == expected


def test_every_field_of_an_answer_is_written(model_v1: Model) -> None:
    one = np.array([0.5])
    row = _row_with_all_fields(model_v1)
    interest_count, dimension = len(model_v1.pipeline.half_life_s_K), model_v1.pipeline.item_vectors_ID.shape[1]
    equal_K = np.full(interest_count, 1 / interest_count)
    interests = Interests(
        history=History(np.array([row]), np.array([NOW_S - DAY_S]), np.array([0])),
        vectors_KD=np.eye(interest_count, dimension, dtype=np.float32),
        assignment_KL=equal_K[:, None].astype(np.float32),
        mass_K=equal_K,
        log_share_K=np.log(equal_K),
    )
    ranking = Ranking(
        row_R=np.array([row]),
        score_R=one,
        probability_R=one,
        interest_R=np.array([0]),
        source_R=np.array([int(Source.INTERESTS)]),
        terms=ScoreTerms(one, one, one, one),
        basis=Basis.INTERESTS,
        profile=Profile.LEARNED,
        interests=interests,
        removed={},
        plan=SearchPlan.SCAN,
        matching_count=1,
        allowed_count=1,
        effort=Effort.REDUCED,
    )
    query = Query(history=interests.history, now_s=NOW_S, limit=2)

    recommended = pb.RecommendResponse.FromString(*recommend_responses([Answer(model_v1, query, ranking, 1)]))
    taken_apart = pb.GetInterestsResponse.FromString(
        get_interests_response(model_v1, query, interests, 1, 1, include_vectors=True)
    )

    assert _unset_fields(recommended) == {"unbraid.v1.Interest.vector", "unbraid.v1.Interest.index"}
    assert _unset_fields(taken_apart) == {"unbraid.v1.Interest.index"}


def _row_with_all_fields(model: Model) -> int:
    return next(
        row
        for row in range(len(model.catalogue))
        if model.catalogue.item(row).title and model.catalogue.item(row).categories
    )


def _unset_fields(message: Message) -> set[str]:
    """Fields of the first message of each kind of ours that nobody has set; that of the first interest has index 0."""
    unset = {field.full_name for field in message.DESCRIPTOR.fields} - {
        field.full_name for field, _ in message.ListFields()
    }
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.full_name.startswith("unbraid."):
            unset |= _unset_fields(value[0] if field.is_repeated else value)
    return unset


def test_numbers_that_are_none_go_through(model_v1: Model) -> None:
    odd = np.array([math.inf, -math.inf, -0.0])
    ranking = Ranking(
        row_R=np.array([0, 1, 0]),
        score_R=odd,
        probability_R=None,
        interest_R=np.full(3, -1),
        source_R=np.array([int(Source.POPULAR)] * 3),
        terms=ScoreTerms(odd, odd, odd, odd),
        basis=Basis.POPULARITY,
        profile=Profile.FORMULA,
        interests=None,
        removed={},
        plan=None,
        matching_count=None,
        allowed_count=3,
        effort=Effort.FULL,
    )

    query = Query(history=History.empty(), now_s=NOW_S, limit=3)
    [written] = recommend_responses([Answer(model_v1, query, ranking, 0)])

    assert [each.score for each in pb.RecommendResponse.FromString(written).recommendations] == odd.tolist()
