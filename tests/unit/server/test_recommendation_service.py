"""RecommendationService over a real socket: answers, limits, and refusals that name their field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.ports import Event, UserEvent
from unbraid_core.types import Query
from unbraid_server.model import Model
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW_S = 1_767_500_000
ITEMS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]


@pytest.fixture(scope="module")
def service(channel_v1: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_v1)


@pytest.fixture
def user(request: pytest.FixtureRequest, state_v1: SqliteStateStore) -> Iterator[str]:
    """A user of the state store with three events, two of them at the same time."""
    user_id = f"user-of-{request.node.name}"
    state_v1.append(
        UserEvent(user_id, Event(item_id, NOW_S - age_s, "view"))
        for item_id, age_s in [("c05", 86_400.0), ("k01", 3_600.0), ("k02", 3_600.0)]
    )
    yield user_id
    state_v1.delete_user(user_id)


def event(item_id: str, time_s: float = NOW_S, action: str = "") -> pb.Event:
    return pb.Event(item_id=item_id, event_time=moment(time_s), action=action)


def moment(time_s: float) -> Timestamp:
    return Timestamp(seconds=int(time_s), nanos=round(time_s % 1 * 1e9))


def history(*events: pb.Event) -> pb.History:
    return pb.History(events=events)


def ids(response: pb.RecommendResponse) -> list[str]:
    return [recommendation.item_id for recommendation in response.recommendations]


# Answers


@settings(max_examples=30, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(0, 10**7), st.sampled_from(["", "view"])), max_size=9),
    limit=st.integers(1, 30),
    include_seen=st.booleans(),
    excluded=st.lists(st.sampled_from(ITEMS), max_size=4),
    diversity=st.sampled_from([0.0, 0.3, 1.0]),
    balance=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_an_answer_is_that_of_the_pipeline_item_for_item(
    service: RecommendationServiceStub,
    model_v1: Model,
    drawn: list[tuple[str, int, str]],
    limit: int,
    include_seen: bool,
    excluded: list[str],
    diversity: float,
    balance: float,
) -> None:
    response = service.Recommend(
        pb.RecommendRequest(
            history=history(*(event(item_id, NOW_S - age_s, action) for item_id, age_s, action in drawn)),
            limit=limit,
            as_of_time=moment(NOW_S),
            seen_items=pb.SEEN_ITEMS_INCLUDE if include_seen else pb.SEEN_ITEMS_EXCLUDE,
            excluded_item_ids=excluded,
            diversity=diversity,
            balance=balance,
        )
    )
    known = model_v1.history(
        [each[0] for each in drawn], [NOW_S - each[1] for each in drawn], [each[2] for each in drawn], None
    )
    excluded_row_X = model_v1.catalogue.rows(excluded)
    query = Query(
        known.history, float(NOW_S), limit, include_seen, excluded_row_X, diversity=diversity, balance=balance
    )
    [ranking] = model_v1.pipeline.recommend([query])
    assert ids(response) == model_v1.catalogue.ids(ranking.row_R)
    assert [each.score for each in response.recommendations] == ranking.score_R.tolist()
    for each in response.recommendations:
        terms = each.terms
        assert each.score == pytest.approx(terms.affinity + terms.interest + terms.popularity + terms.frequency)


def test_an_answer_names_release_moment_titles_interests_and_sources(
    service: RecommendationServiceStub, model_v1: Model
) -> None:
    asked = history(event("k00", NOW_S - 86_400), event("k01", NOW_S - 7_200), event("c05", NOW_S - 3_600.25))
    response = service.Recommend(pb.RecommendRequest(history=asked, limit=3, as_of_time=moment(NOW_S)))
    assert response.release_id == model_v1.release_id
    assert response.basis == pb.ANSWER_BASIS_INTERESTS
    assert response.as_of_time == moment(NOW_S)
    best = response.recommendations[0]
    item = model_v1.catalogue.item(model_v1.catalogue.row(best.item_id))
    assert (best.title, tuple(best.categories)) == (item.title, item.categories)
    assert best.HasField("interest_index")
    assert pb.CANDIDATE_SOURCE_INTERESTS in best.sources
    kitchen, cycling = response.interests
    assert (kitchen.index, cycling.index) == (0, 1)
    assert kitchen.share + cycling.share == pytest.approx(1.0)
    assert [each.half_life.ToSeconds() for each in (kitchen, cycling)] == [7 * 86_400, 30 * 86_400]
    assert cycling.evidence[0].item_id == "c05"
    assert cycling.evidence[0].title == "Rear light"
    assert cycling.evidence[0].event_time == moment(NOW_S - 3_600.25)
    assert sum(each.weight for each in kitchen.evidence) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "request_", [pb.RecommendRequest(history=pb.History(), limit=5), pb.RecommendRequest(user_id="nobody", limit=5)]
)
def test_who_has_no_history_gets_popular_items(
    service: RecommendationServiceStub, model_v1: Model, request_: pb.RecommendRequest
) -> None:
    response = service.Recommend(request_)
    assert response.basis == pb.ANSWER_BASIS_POPULARITY
    assert ids(response) == model_v1.catalogue.ids(model_v1.pipeline.popular_row_I[:5])
    assert not response.interests
    for each in response.recommendations:
        assert not each.HasField("interest_index")
        assert list(each.sources) == [pb.CANDIDATE_SOURCE_POPULAR]


def test_a_user_of_the_state_store_is_answered_like_the_same_history(
    service: RecommendationServiceStub, user: str
) -> None:
    stored = service.Recommend(pb.RecommendRequest(user_id=user, as_of_time=moment(NOW_S)))
    sent = history(
        event("k01", NOW_S - 3_600, "view"), event("k02", NOW_S - 3_600, "view"), event("c05", NOW_S - 86_400, "view")
    )
    assert stored == service.Recommend(pb.RecommendRequest(history=sent, as_of_time=moment(NOW_S)))


def test_later_events_are_left_out_and_not_counted(service: RecommendationServiceStub, user: str) -> None:
    response = service.GetInterests(pb.GetInterestsRequest(user_id=user, as_of_time=moment(NOW_S - 7_200)))
    assert {each.item_id for interest in response.interests for each in interest.evidence} == {"c05"}
    assert response.ignored_event_count == 0


def test_unknown_items_are_ignored_and_counted(service: RecommendationServiceStub) -> None:
    asked = history(event("k00"), event("nothing"), event("k01"), event("K00"))
    response = service.Recommend(
        pb.RecommendRequest(history=asked, as_of_time=moment(NOW_S), excluded_item_ids=["never-seen"])
    )
    assert response.ignored_event_count == 2
    assert response.basis == pb.ANSWER_BASIS_INTERESTS
    only_unknown = service.Recommend(pb.RecommendRequest(history=history(event("nothing"))))
    assert (only_unknown.basis, only_unknown.ignored_event_count) == (pb.ANSWER_BASIS_POPULARITY, 1)


@pytest.mark.parametrize(("limit", "length"), [(0, 20), (1, 1), (23, 23), (500, 23), (2**31 - 1, 23)])
def test_limits_have_a_default_and_a_maximum(service: RecommendationServiceStub, limit: int, length: int) -> None:
    assert len(ids(service.Recommend(pb.RecommendRequest(history=history(event("k00")), limit=limit)))) == length


def test_seen_and_excluded_items_do_not_come_back(service: RecommendationServiceStub) -> None:
    asked = history(event("k00"), event("k01"))
    excluded = service.Recommend(pb.RecommendRequest(history=asked, limit=24, excluded_item_ids=["c00", "c01"]))
    assert set(ids(excluded)) == set(ITEMS) - {"k00", "k01", "c00", "c01"}
    included = service.Recommend(pb.RecommendRequest(history=asked, limit=24, seen_items=pb.SEEN_ITEMS_INCLUDE))
    assert set(ids(included)) == set(ITEMS)
    own = next(each for each in included.recommendations if each.item_id == "k00")
    assert pb.CANDIDATE_SOURCE_OWN_ITEMS in own.sources


def test_the_most_diverse_answer_takes_turns_between_the_categories(service: RecommendationServiceStub) -> None:
    """The kitchen things and the bicycle things of the release are near each other in its vectors, too."""
    asked = history(event("k00", NOW_S), event("k01", NOW_S))
    request = pb.RecommendRequest(history=asked, limit=2, as_of_time=moment(NOW_S))
    plain = service.Recommend(request).recommendations
    request.diversity = 1.0
    diverse = service.Recommend(request).recommendations
    assert plain[0] == diverse[0]
    assert plain[0].categories == plain[1].categories
    assert diverse[0].categories != diverse[1].categories
    assert diverse[1].score < plain[1].score


def test_interests_with_vectors_and_their_evidence(service: RecommendationServiceStub, model_v1: Model) -> None:
    asked = history(*(event(item_id, NOW_S - age_s) for age_s, item_id in enumerate(ITEMS[:6])))
    request = pb.GetInterestsRequest(history=asked, as_of_time=moment(NOW_S), evidence_limit=2, include_vectors=True)
    response = service.GetInterests(request)
    assert (response.release_id, response.space_id) == (model_v1.release_id, model_v1.space_id)
    for interest in response.interests:
        assert len(interest.evidence) == 2
        vector_D = np.frombuffer(interest.vector, "<f4")
        assert np.linalg.norm(vector_D) == pytest.approx(1.0, abs=1e-5)
    request.evidence_limit, request.include_vectors = 0, False
    plain = service.GetInterests(request)
    assert [len(interest.evidence) for interest in plain.interests] == [5, 5]
    assert [interest.vector for interest in plain.interests] == [b"", b""]


def test_a_history_without_a_known_item_has_no_interests(service: RecommendationServiceStub) -> None:
    response = service.GetInterests(pb.GetInterestsRequest(history=history(event("nothing"))))
    assert (list(response.interests), response.ignored_event_count) == ([], 1)


# Refusals


def test_interests_of_a_user_whom_nobody_knows_are_not_found(
    service: RecommendationServiceStub, refused: Refused
) -> None:
    refusal = refused(lambda: service.GetInterests(pb.GetInterestsRequest(user_id="nobody" * 5_000)))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert (refusal.info.reason, refusal.info.domain) == ("NOT_FOUND", "unbraid")
    assert refusal.info.metadata["user_id"].startswith("nobodynobody")
