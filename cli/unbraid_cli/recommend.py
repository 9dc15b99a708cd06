"""``unbraid recommend``, ``unbraid interests`` and ``unbraid status``: ask a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unbraid_cli.answers import print_interests, print_recommendations, to_json
from unbraid_cli.connection import connected, explained
from unbraid_cli.console import console
from unbraid_cli.filter_text import parse_condition
from unbraid_cli.history_file import parse_time, read_history
from unbraid_cli.options import Json, RankingProfile, Server
from unbraid_cli.status_view import print_status
from unbraid_cli.worker_watch import WorkerWatch
from unbraid_client import Event, Profile
from unbraid_client.channel import DEFAULT_TARGET
from unbraid_core.errors import InvalidInput

__all__ = ["AsOf", "Filters", "HistoryFile", "User", "interests", "known_events", "recommend", "status"]

User = Annotated[str | None, typer.Option("--user", help="A user that the server knows.")]
HistoryFile = Annotated[
    Path | None, typer.Option("--history", help="A CSV file with item_id, timestamp and, if you like, action.")
]
AsOf = Annotated[str | None, typer.Option(help="Answer for this moment (ISO 8601 or epoch seconds), not for now.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="What items have to be, such as 'categories=Books' or 'price<20'; all of several.",
    ),
]


def recommend(
    user: User = None,
    history: HistoryFile = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many items.")] = 10,
    as_of: AsOf = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Let items of the history come back.")] = False,
    profile: RankingProfile = None,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="0: the order of the scores. 1: items as unlike each other as can be.")
    ] = 0.0,
    balance: Annotated[
        float, typer.Option(min=0, max=1, help="How much of its share of the list each interest is sure of.")
    ] = 0.0,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out items that the user takes with less than this probability.")
    ] = 0.0,
    filters: Filters = None,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Print the recommendations for a user or a history, and why."""
    conditions = [parse_condition(text) for text in filters or ()]
    events = known_events(user, history)
    moment = None if as_of is None else parse_time(as_of, "--as-of")
    with connected(server) as client:
        result = client.recommend(
            user_id=user,
            history=events,
            limit=limit,
            as_of=moment,
            include_seen=include_seen,
            profile=None if profile is None else Profile(profile),
            diversity=diversity,
            balance=balance,
            min_probability=min_probability,
            conditions=conditions,
        )
    if as_json:
        console.print_json(to_json(result))
    else:
        print_recommendations(result, console)


def interests(
    user: User = None,
    history: HistoryFile = None,
    evidence: Annotated[int, typer.Option(min=1, max=50, help="How many events to show for each interest.")] = 5,
    as_of: AsOf = None,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Print the interests of a user or a history, and the events behind each."""
    events = known_events(user, history)
    moment = None if as_of is None else parse_time(as_of, "--as-of")
    with connected(server) as client:
        result = client.get_interests(user_id=user, history=events, as_of=moment, evidence_limit=evidence)
    if as_json:
        console.print_json(to_json(result))
    else:
        print_interests(result, console)


def status(server: Server = DEFAULT_TARGET, as_json: Json = False) -> None:
    """Print what a running server is made of, and how each of its workers does."""
    with explained(server), WorkerWatch(server) as watch:
        statuses = watch.look()
    if not as_json:
        print_status(statuses, console)
        return
    for each in statuses:
        console.print_json(to_json(each))


def known_events(user: str | None, history: Path | None) -> list[Event] | None:
    """The events of a file; None for a user of the server.

    Raises:
        InvalidInput: both or neither are given, or the file cannot be read.
    """
    if (user is None) == (history is None):
        raise InvalidInput("--user", "give either --user or --history")
    return None if history is None else read_history(history)
