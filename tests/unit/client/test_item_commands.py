"""``unbraid rank`` and ``unbraid similar`` against a real server on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.client.conftest import ScriptedServer, Unbraid

RANKED = pb.RankItemsResponse(
    release_id="r1",
    items=[
        pb.Recommendation(
            item_id="172",
            title="Jedi [1983]",
            score=2.25,
            interest_index=1,
            terms=pb.ScoreTerms(affinity=3.5, interest=-1.0, popularity=-0.25),
        ),
    ],
    unknown_item_ids=["[9]"],
    basis=pb.ANSWER_BASIS_INTERESTS,
    profile=pb.RANKING_PROFILE_FORMULA,
    as_of_time=Timestamp(seconds=893_419_200),
)
SIMILAR = pb.SimilarItemsResponse(
    release_id="r1", items=[pb.SimilarItem(item_id="172", title="Jedi [1983]", similarity=0.875)]
)


def test_rank_prints_the_terms_of_items_and_what_nobody_knows(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(RANKED)
    code, out, err = unbraid("rank", "172", "[9]", "--user", "7", "--include-seen", "--profile", "formula")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["1", "Jedi", "[1983]", "1", "2.25", "+3.50", "-1.00", "-0.25"]
    assert "[9]: not in the catalogue" in out
    assert "basis interests · profile formula · release r1" in out
    [sent] = server.requests
    assert (sent.user_id, list(sent.item_ids)) == ("7", ["172", "[9]"])
    assert (sent.seen_items, sent.profile) == (pb.SEEN_ITEMS_INCLUDE, pb.RANKING_PROFILE_FORMULA)


def test_similar_prints_the_neighbours(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(SIMILAR)
    code, out, err = unbraid("similar", "50", "--limit", "3", "--filter", "categories=Books")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == ["172", "Jedi", "[1983]", "0.875"]
    [sent] = server.requests
    assert (sent.item_id, sent.limit, sent.filter.conditions[0].attribute) == ("50", 3, "categories")


@pytest.mark.parametrize(("answer", "words"), [(RANKED, ("rank", "172", "--user", "7")), (SIMILAR, ("similar", "50"))])
def test_json_has_the_whole_answer(
    server: ScriptedServer,
    unbraid: Unbraid,
    answer: pb.RankItemsResponse | pb.SimilarItemsResponse,
    words: tuple[str, ...],
) -> None:
    server.answer(answer)
    code, out, _ = unbraid(*words, "--json")
    printed = json.loads(out)
    assert (code, printed["release_id"], printed["items"][0]["item_id"]) == (0, "r1", "172")


def test_an_unknown_item_is_one_line_and_exit_code_2(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.refuse(grpc.StatusCode.NOT_FOUND, "item '9' is not in the catalogue")
    assert unbraid("similar", "9") == (2, "", "error: item '9' is not in the catalogue\n")
