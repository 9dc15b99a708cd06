"""``unbraid recommend`` and ``interests`` against a real server on loopback."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.client.conftest import ScriptedServer, Unbraid

NOON_S = 893_419_200


def interest(index: int, share: float, half_life_s: int, *titles: str) -> pb.Interest:
    return pb.Interest(
        index=index,
        mass=share * 10,
        share=share,
        half_life=Duration(seconds=half_life_s),
        evidence=[
            pb.Evidence(item_id=title, title=title, event_time=Timestamp(seconds=NOON_S), assignment=0.9, weight=0.4)
            for title in titles
        ],
    )


INTERESTS = [interest(0, 0.25, 7_200, "Fargo [1996]"), interest(1, 0.75, 4_320_000, "Star Wars", "Empire")]
ANSWER = pb.RecommendResponse(
    release_id="r1",
    recommendations=[
        pb.Recommendation(
            item_id="172",
            title="Jedi",
            categories=["Action", "Sci-Fi"],
            score=2.25,
            interest_index=1,
            terms=pb.ScoreTerms(affinity=3.5, interest=-1.0, popularity=-0.25),
        ),
        pb.Recommendation(item_id="i-2", score=1.5, interest_index=0, terms=pb.ScoreTerms(affinity=1.5)),
    ],
    interests=INTERESTS,
    basis=pb.ANSWER_BASIS_INTERESTS,
    profile=pb.RANKING_PROFILE_FORMULA,
    as_of_time=Timestamp(seconds=NOON_S),
    ignored_event_count=3,
)


def test_recommend_prints_interests_and_items_with_their_terms(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(ANSWER)

    code, out, err = unbraid("recommend", "--user", "7", "--limit", "2", "--as-of", "1998-04-24T12:00")

    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    # The strongest interest comes first, and a title that looks like markup stays as it is.
    assert lines[1] == ["1", "█████████░░░", "75%", "7.50", "50", "days", "Star", "Wars", "·", "Empire"]
    assert lines[2] == ["0", "███░░░░░░░░░", "25%", "2.50", "2", "hours", "Fargo", "[1996]"]
    assert lines[5] == ["1", "Jedi", "Action,", "Sci-Fi", "1", "2.25", "+3.50", "-1.00", "-0.25"]
    assert lines[6] == ["2", "i-2", "0", "1.50", "+1.50", "+0.00", "+0.00"]
    assert "score = affinity + interest + popular; # is the interest behind it" in out
    assert "profile formula · release r1" in out
    assert "events left out because the release does not know their item: 3" in out
    assert server.requests[0] == pb.RecommendRequest(
        user_id="7", limit=2, as_of_time=Timestamp(seconds=NOON_S), seen_items=pb.SEEN_ITEMS_EXCLUDE
    )


def test_every_term_fits_on_a_narrow_terminal(
    server: ScriptedServer, unbraid: Unbraid, monkeypatch: pytest.MonkeyPatch
) -> None:
    wordy = pb.Recommendation(title="title " * 20, terms=pb.ScoreTerms(popularity=-0.75, frequency=1.25))
    server.answer(pb.RecommendResponse(recommendations=[wordy], basis=pb.ANSWER_BASIS_POPULARITY))
    monkeypatch.setenv("COLUMNS", "80")

    _, out, _ = unbraid("recommend", "--user", "7")

    assert "-0.75    +1.25" in out
    assert out.split().count("title") == 20


def test_own_frequency_is_shown_where_seen_items_come_back(server: ScriptedServer, unbraid: Unbraid) -> None:
    bought_again = pb.Recommendation(item_id="i-2", score=2.0, terms=pb.ScoreTerms(affinity=1.5, frequency=0.5))
    server.answer(pb.RecommendResponse(recommendations=[bought_again], basis=pb.ANSWER_BASIS_INTERESTS))

    _, out, _ = unbraid("recommend", "--user", "7", "--include-seen")

    assert "own use" in out
    assert "+0.50" in out
    assert server.requests[0].seen_items == pb.SEEN_ITEMS_INCLUDE


def test_a_learned_score_is_not_the_sum_of_the_terms(server: ScriptedServer, unbraid: Unbraid) -> None:
    learned = pb.RecommendResponse()
    learned.CopyFrom(ANSWER)
    learned.profile = pb.RANKING_PROFILE_LEARNED
    server.answer(learned)

    _, out, _ = unbraid("recommend", "--user", "7", "--profile", "learned")

    assert "score = the ranker's own" in out
    assert "basis interests · profile learned · release r1" in out
    assert server.requests[0].profile == pb.RANKING_PROFILE_LEARNED


def test_filters_are_asked_for_and_matches_are_counted(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(pb.RecommendResponse(matching_item_count=1234, exhausted=True))
    code, out, _ = unbraid("recommend", "--user", "7", "--filter", "categories=Books|Music", "--filter", "price<20")
    assert code == 0
    assert [each.attribute for each in server.requests[0].filter.conditions] == ["categories", "price"]
    assert "1,234 items match, and no more may come back" in " ".join(out.split())


def test_diversity_and_balance_are_asked_for(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(pb.RecommendResponse(recommendations=[pb.Recommendation(item_id="1")]))

    unbraid("recommend", "--user", "7", "--diversity", "0.4", "--balance", "0.5")

    assert (server.requests[0].diversity, server.requests[0].balance) == (0.4, 0.5)


def test_an_answer_by_popularity_says_so(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(
        pb.RecommendResponse(recommendations=[pb.Recommendation(item_id="1")], basis=pb.ANSWER_BASIS_POPULARITY)
    )

    _, out, _ = unbraid("recommend", "--user", "nobody")

    assert out.startswith("The history is empty or unknown: these items are popular of late.")


def test_recommend_for_a_history_file(server: ScriptedServer, unbraid: Unbraid, tmp_path: Path) -> None:
    server.answer(ANSWER)
    history = tmp_path / "history.csv"
    history.write_text(f"timestamp,item_id,action\n{NOON_S},50,view\n1998-04-24T14:00:00+02:00,172,\n")

    code, _, _ = unbraid("recommend", "--history", str(history))

    assert code == 0
    assert server.requests[0].history == pb.History(
        events=[
            pb.Event(item_id="50", event_time=Timestamp(seconds=NOON_S), action="view"),
            pb.Event(item_id="172", event_time=Timestamp(seconds=NOON_S)),
        ]
    )


def test_interests_prints_the_events_behind_each(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(
        pb.GetInterestsResponse(
            release_id="r1", space_id="s1", interests=INTERESTS, as_of_time=Timestamp(seconds=NOON_S)
        )
    )

    code, out, _ = unbraid("interests", "--user", "7", "--evidence", "2")

    assert code == 0
    assert out.index("interest 1") < out.index("Star Wars") < out.index("interest 0") < out.index("Fargo [1996]")
    assert "mass 7.50, halves every 50 days" in out
    assert "space s1" in out
    assert server.requests[0] == pb.GetInterestsRequest(user_id="7", evidence_limit=2)


def test_json_holds_the_whole_answer(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.answer(ANSWER)

    _, out, _ = unbraid("recommend", "--user", "7", "--json")

    answer = json.loads(out)
    assert answer["as_of"] == "1998-04-24T12:00:00+00:00"
    assert answer["basis"] == "interests"
    assert answer["interests"][0]["half_life"] == "7200s"
    assert answer["recommendations"][0]["terms"] == {
        "affinity": 3.5,
        "interest": -1.0,
        "popularity": -0.25,
        "frequency": 0.0,
    }


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (None, "cannot be read"),
        ("item_id,time\n1,2\n", "lacks the column 'timestamp'"),
        ("item_id,timestamp\n1,0\n2,yesterday\n", "history.csv:3: timestamp: 'yesterday' is no time"),
        ('item_id,timestamp,n\n"a\nb",0,\n2,soon,"a\nb"\n', "history.csv:4: timestamp: 'soon' is no time"),
    ],
)
def test_a_bad_history_file_is_one_line(unbraid: Unbraid, tmp_path: Path, file: str | None, complaint: str) -> None:
    history = tmp_path / "history.csv"
    if file is not None:
        history.write_text(file)

    code, out, err = unbraid("recommend", "--history", str(history))

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["recommend"], "--user: give either --user or --history"),
        (["interests", "--user", "7", "--history", "x.csv"], "--user: give either --user or --history"),
        (["recommend", "--user", "7", "--as-of", "soon"], "--as-of: 'soon' is no time"),
        (["recommend", "--user", "7", "--limit", "501"], "'--limit'"),
        (["recommend", "--user", "7", "--profile", "magic"], "'--profile'"),
        (["recommend", "--nobody"], "--nobody"),
    ],
)
def test_bad_options_are_one_line(
    server: ScriptedServer, unbraid: Unbraid, arguments: list[str], complaint: str
) -> None:
    code, out, err = unbraid(*arguments)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert complaint in err
    assert server.requests == []


def test_what_the_server_refuses_is_one_line(server: ScriptedServer, unbraid: Unbraid) -> None:
    server.refuse(grpc.StatusCode.NOT_FOUND, "user_id: '7' is unknown; import its events with `unbraid state import`")

    code, _, err = unbraid("interests", "--user", "7")

    assert code == 2
    assert err == "error: user_id: '7' is unknown; import its events with `unbraid state import`\n"


def test_no_server_says_how_to_start_one(unbraid: Unbraid) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        code, _, err = unbraid("status", "--server", target)

    assert code == 2
    assert f"no server answers at {target}: start one with `unbraid serve`" in err
