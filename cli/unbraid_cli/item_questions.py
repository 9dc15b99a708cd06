"""``unbraid rank`` and ``unbraid similar``: ask a running server about given items."""

from __future__ import annotations

from typing import Annotated

import typer

from unbraid_cli.answers import print_ranking, to_json
from unbraid_cli.connection import connected
from unbraid_cli.console import console, rows_table
from unbraid_cli.filter_text import parse_condition
from unbraid_cli.history_file import parse_time
from unbraid_cli.options import Json, RankingProfile, Server
from unbraid_cli.recommend import AsOf, Filters, HistoryFile, User, known_events
from unbraid_client import Profile
from unbraid_client.channel import DEFAULT_TARGET

__all__ = ["rank", "similar"]


def rank(
    items: Annotated[list[str], typer.Argument(metavar="ITEM_ID...", help="The items to put in order.")],
    user: User = None,
    history: HistoryFile = None,
    as_of: AsOf = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Score as where items of the history may come back.")
    ] = False,
    profile: RankingProfile = None,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Print given items in the order in which a user would take them, and why."""
    events = known_events(user, history)
    moment = None if as_of is None else parse_time(as_of, "--as-of")
    with connected(server) as client:
        result = client.rank_items(
            items,
            user_id=user,
            history=events,
            as_of=moment,
            include_seen=include_seen,
            profile=None if profile is None else Profile(profile),
        )
    if as_json:
        console.print_json(to_json(result))
    else:
        print_ranking(result, console)


def similar(
    item: Annotated[str, typer.Argument(metavar="ITEM_ID", help="Whose neighbours.")],
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many items.")] = 10,
    filters: Filters = None,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Print the items that are nearest to an item."""
    conditions = [parse_condition(text) for text in filters or ()]
    with connected(server) as client:
        result = client.similar_items(item, limit=limit, conditions=conditions)
    if as_json:
        console.print_json(to_json(result))
    else:
        rows = [(item.item_id, item.title, f"{item.similarity:.3f}") for item in result.items]
        console.print(rows_table([("item", "title", "similarity"), *rows]))
