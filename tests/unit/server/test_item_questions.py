"""RankItems and SimilarItems over a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.server.conftest import Refused

NOW = Timestamp(seconds=1_767_500_000)
ITEMS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]
HISTORY = pb.History(
    events=[
        pb.Event(item_id=item_id, event_time=Timestamp(seconds=NOW.seconds - age_s))
        for item_id, age_s in [("c05", 86_400), ("k01", 3_600), ("k02", 60)]
    ]
)


@pytest.fixture(scope="module")
def service(channel_learned: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_learned)


def vectors(model: Model) -> dict[str, np.ndarray]:
    return dict(zip(model.catalogue.ids(np.arange(24)), model.pipeline.item_vectors_ID[:], strict=True))


# RankItems


@settings(max_examples=40)
@given(
    seen=st.lists(st.sampled_from(ITEMS), max_size=6),
    limit=st.integers(1, 24),
    profile=st.sampled_from([pb.RANKING_PROFILE_FORMULA, pb.RANKING_PROFILE_LEARNED]),
    seen_items=st.sampled_from([pb.SEEN_ITEMS_EXCLUDE, pb.SEEN_ITEMS_INCLUDE]),
    seed=st.integers(0, 2**32 - 1),
)
def test_recommended_items_are_ranked_as_they_were_recommended(
    service: RecommendationServiceStub,
    seen: list[str],
    limit: int,
    profile: pb.RankingProfile.ValueType,
    seen_items: pb.SeenItems.ValueType,
    seed: int,
) -> None:
    history = pb.History(events=[pb.Event(item_id=item_id, event_time=NOW) for item_id in seen])
    recommended = service.Recommend(
        pb.RecommendRequest(history=history, limit=limit, as_of_time=NOW, profile=profile, seen_items=seen_items)
    )
    item_ids = [each.item_id for each in recommended.recommendations]
    ranked = service.RankItems(
        pb.RankItemsRequest(
            history=history,
            item_ids=np.random.default_rng(seed).permutation(item_ids).tolist(),
            as_of_time=NOW,
            profile=profile,
            seen_items=seen_items,
        )
    )
    assert list(ranked.items) == list(recommended.recommendations)
    assert list(ranked.interests) == list(recommended.interests)
    assert (ranked.basis, ranked.profile) == (recommended.basis, recommended.profile)
    assert (ranked.release_id, ranked.as_of_time) == (recommended.release_id, NOW)


def test_seen_items_are_ranked_and_unknown_ones_named(service: RecommendationServiceStub) -> None:
    item_ids = ["nothing", "k02", "c11", "K02", "c05"]
    response = service.RankItems(pb.RankItemsRequest(history=HISTORY, item_ids=item_ids, as_of_time=NOW))
    assert sorted(item.item_id for item in response.items) == ["c05", "c11", "k02"]
    assert list(response.unknown_item_ids) == ["nothing", "K02"]
    scores = [item.score for item in response.items]
    assert scores == sorted(scores, reverse=True)


def test_where_no_item_is_known_none_is_ranked(service: RecommendationServiceStub) -> None:
    response = service.RankItems(pb.RankItemsRequest(history=HISTORY, item_ids=["nothing"]))
    assert (list(response.items), list(response.unknown_item_ids)) == ([], ["nothing"])


def test_for_who_has_no_history_popular_items_come_first(service: RecommendationServiceStub, model_v1: Model) -> None:
    response = service.RankItems(pb.RankItemsRequest(user_id="nobody", item_ids=ITEMS))
    assert response.basis == pb.ANSWER_BASIS_POPULARITY
    assert [item.item_id for item in response.items] == model_v1.catalogue.ids(model_v1.pipeline.popular_row_I[:])


def test_the_frequency_of_own_items_counts_where_they_may_come_back(service: RecommendationServiceStub) -> None:
    request = pb.RankItemsRequest(history=HISTORY, item_ids=["k02", "c11"], as_of_time=NOW)
    without = {item.item_id: item.terms.frequency for item in service.RankItems(request).items}
    request.seen_items = pb.SEEN_ITEMS_INCLUDE
    counted = {item.item_id: item.terms.frequency for item in service.RankItems(request).items}
    assert without == {"k02": 0.0, "c11": 0.0}
    assert counted["k02"] > counted["c11"] == 0.0


BAD_RANK_REQUESTS = [
    ("subject", pb.RankItemsRequest(item_ids=["k00"])),
    ("item_ids", pb.RankItemsRequest(user_id="u")),
    ("item_ids", pb.RankItemsRequest(user_id="u", item_ids=[str(number) for number in range(1_001)])),
    ("item_ids[1]", pb.RankItemsRequest(user_id="u", item_ids=["k00", ""])),
    ("item_ids[2]", pb.RankItemsRequest(user_id="u", item_ids=["k00", "k01", "k00"])),
    ("profile", pb.RankItemsRequest(user_id="u", item_ids=["k00"], profile=17)),  # type: ignore[arg-type] # unknown
    ("seen_items", pb.RankItemsRequest(user_id="u", item_ids=["k00"], seen_items=17)),  # type: ignore[arg-type] # unknown
    ("as_of_time.nanos", pb.RankItemsRequest(user_id="u", item_ids=["k00"], as_of_time=Timestamp(nanos=-1))),
]


@pytest.mark.parametrize(("field", "request_"), BAD_RANK_REQUESTS)
def test_a_bad_question_for_an_order_is_refused(
    service: RecommendationServiceStub, refused: Refused, field: str, request_: pb.RankItemsRequest
) -> None:
    refusal = refused(lambda: service.RankItems(request_))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == [field]


def test_a_release_without_ranker_does_not_rank_with_one(channel_v1: grpc.Channel, refused: Refused) -> None:
    request = pb.RankItemsRequest(history=HISTORY, item_ids=["k00"], profile=pb.RANKING_PROFILE_LEARNED)
    refusal = refused(lambda: RecommendationServiceStub(channel_v1).RankItems(request))
    assert [violation.field for violation in refusal.bad_request.field_violations] == ["profile"]


# SimilarItems


@settings(max_examples=30)
@given(item_id=st.sampled_from(ITEMS), limit=st.integers(1, 30), excluded=st.lists(st.sampled_from(ITEMS), max_size=5))
def test_similar_items_are_those_of_the_largest_cosines_where_the_index_is_flat(
    service: RecommendationServiceStub, model_learned: Model, item_id: str, limit: int, excluded: list[str]
) -> None:
    response = service.SimilarItems(
        pb.SimilarItemsRequest(item_id=item_id, limit=limit, excluded_item_ids=[*excluded, "nothing"])
    )
    vector_of = vectors(model_learned)
    cosine_of = {other: float(vector_of[item_id] @ vector_of[other]) for other in ITEMS}
    nearest = sorted(set(ITEMS) - {item_id, *excluded}, key=lambda other: -cosine_of[other])[:limit]
    assert [item.item_id for item in response.items] == nearest
    assert [item.similarity for item in response.items] == pytest.approx(
        [cosine_of[other] for other in nearest], abs=1e-6
    )
    assert response.release_id == model_learned.release_id
    assert not response.HasField("matching_item_count")


def test_similar_items_say_what_they_are_and_meet_the_filter(
    service: RecommendationServiceStub, model_learned: Model
) -> None:
    allowed = filter_pb2.Filter(allowed_item_ids=["c01", "c02", "k03", "nothing"])
    response = service.SimilarItems(pb.SimilarItemsRequest(item_id="c01", filter=allowed))
    assert [item.item_id for item in response.items] == ["c02", "k03"]
    assert response.matching_item_count == 3
    shown = model_learned.catalogue.item(model_learned.catalogue.row("c02"))
    assert (response.items[0].title, tuple(response.items[0].categories)) == (shown.title, shown.categories)


def test_neighbours_follow_the_catalogue(
    model_learned: Model, state_v1: SqliteStateStore, tmp_path: Path, refused: Refused
) -> None:
    catalogue = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    active = ActiveModel(model_learned, catalogue)
    server = Server(active, state_v1, ServerSettings(port=0), open_log("error"))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        stub = RecommendationServiceStub(channel)
        before = [item.item_id for item in stub.SimilarItems(pb.SimilarItemsRequest(item_id="k00")).items]
        twin = ItemVector(model_learned.space_id, vectors(model_learned)["k00"])
        active.change([ItemChange("twin", Item("twin", "the twin"), twin), ItemChange(before[0], None)])
        after = stub.SimilarItems(pb.SimilarItemsRequest(item_id="k00")).items
        assert [item.item_id for item in after] == ["twin", *before[1:20]]
        assert after[0].similarity == pytest.approx(1.0)
        ranked = stub.RankItems(pb.RankItemsRequest(history=HISTORY, item_ids=["twin", before[0]]))
        assert ([item.title for item in ranked.items], list(ranked.unknown_item_ids)) == (["the twin"], [before[0]])
        gone = refused(lambda: stub.SimilarItems(pb.SimilarItemsRequest(item_id=before[0])))
        assert gone.code is grpc.StatusCode.NOT_FOUND
    server.stop(grace_s=0)
    catalogue.close()


BAD_SIMILAR_REQUESTS = [
    ("item_id", pb.SimilarItemsRequest()),
    ("limit", pb.SimilarItemsRequest(item_id="k00", limit=-1)),
    ("excluded_item_ids[0]", pb.SimilarItemsRequest(item_id="k00", excluded_item_ids=[""])),
    (
        "filter.conditions[0].attribute",
        pb.SimilarItemsRequest(
            item_id="k00",
            filter=filter_pb2.Filter(conditions=[filter_pb2.Condition(attribute="colour", is_set=True)]),
        ),
    ),
]


@pytest.mark.parametrize(("field", "request_"), BAD_SIMILAR_REQUESTS)
def test_a_bad_question_for_neighbours_is_refused(
    service: RecommendationServiceStub, refused: Refused, field: str, request_: pb.SimilarItemsRequest
) -> None:
    refusal = refused(lambda: service.SimilarItems(request_))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == [field]


def test_nobody_knows_neighbours_of_an_unknown_item(service: RecommendationServiceStub, refused: Refused) -> None:
    refusal = refused(lambda: service.SimilarItems(pb.SimilarItemsRequest(item_id="nothing")))
    assert (refusal.code, refusal.info.metadata["item_id"]) == (grpc.StatusCode.NOT_FOUND, "nothing")
