"""How the answers of a server look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unbraid_cli.console import in_one_line
from unbraid_cli.moments import minute
from unbraid_client import (
    Basis,
    Evidence,
    Interest,
    InterestsResult,
    Profile,
    RankResult,
    Recommendation,
    RecommendResult,
    ServerStatus,
    SimilarResult,
)
from unbraid_core.counted import counted

__all__ = [
    "print_interests",
    "print_ranking",
    "print_recent_events",
    "print_recommendations",
    "to_json",
]

BAR_WIDTH = 12
DEAD_BELOW_SHARE = 0.01
HOUR_S, DAY_S, YEAR_S = 3600.0, 86_400.0, 365.25 * 86_400.0
INTEREST_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


def print_recommendations(result: RecommendResult, console: Console) -> None:
    """The interests that were weighed with what speaks for each, then the items with every term of their scores."""
    if result.basis is Basis.POPULARITY:
        console.print("The history is empty or unknown: these items are popular of late.", style="yellow")
    else:
        console.print(_interest_table(result.interests))
        console.print()
    terms = _terms_shown(result.recommendations)
    console.print(_recommendation_table(result.recommendations, terms))
    console.print()
    if result.degraded:
        console.print("the server was busy: from fewer candidates than usual", style="dim")
    if result.expected_precision is not None:
        console.print(f"of these the user is expected to take {result.expected_precision:.1%}", style="dim")
    console.print(f"{_score_legend(result, terms)}; # is the interest behind it", style="dim")
    _print_footer(console, result, f"basis {result.basis} · profile {result.profile}{_matches(result)}")


def print_ranking(result: RankResult, console: Console) -> None:
    """The items with every term of their scores, then those that nobody knows."""
    terms = _terms_shown(result.items)
    console.print(_recommendation_table(result.items, terms))
    console.print()
    for item_id in result.unknown_item_ids:
        console.print(f"{item_id}: not in the catalogue", style="yellow", markup=False, soft_wrap=True)
    console.print(f"{_score_legend(result, terms)}; # is the interest behind it", style="dim")
    _print_footer(console, result, f"basis {result.basis} · profile {result.profile}")


def _matches(result: RecommendResult) -> str:
    if result.matching_item_count is None:
        return ""
    none_left = ", and no more may come back" if result.exhausted else ""
    return f" · {counted(result.matching_item_count, 'item matches', 'items match')}{none_left}"


def print_interests(result: InterestsResult, console: Console) -> None:
    """The interests, strongest first, each with the events behind it."""
    if not result.interests:
        console.print("The history has no item that the release knows, so it has no interests.", style="yellow")
    for interest in _strongest_first(result.interests):
        colour = _style(interest)
        console.print(
            Text(f"interest {interest.index}  ", style=f"bold {colour}")
            + Text(f"{_bar(interest.share)} {interest.share:4.0%}  ", style=colour)
            + Text(f"mass {interest.mass:.2f}, halves every {_in_words(interest.half_life)}")
        )
        console.print(_evidence_table(interest.evidence))
        console.print()
    _print_footer(console, result, f"space {result.space_id}")


def print_recent_events(result: InterestsResult, count: int, console: Console) -> None:
    """The items of the newest events, newest first, each with the interest that it belongs to most."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("latest items")
    table.add_column("time (UTC)", no_wrap=True, style="dim")
    table.add_column("#", justify="right")
    table.add_column("belongs", justify="right", no_wrap=True)
    for event, interest in _newest_first(result.interests)[:count]:
        table.add_row(
            Text(_name(event)),
            Text(minute(event.time)),
            Text(str(interest.index), style=_style(interest)),
            Text(f"{event.assignment:.0%}"),
        )
    console.print(table)


def to_json(result: RecommendResult | RankResult | SimilarResult | InterestsResult | ServerStatus) -> str:
    """The whole answer as JSON: times in ISO 8601, durations as protobuf writes them (``86400s``)."""
    return json.dumps(asdict(result), default=_json_value, ensure_ascii=False)


def _json_value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    assert isinstance(value, timedelta)
    return f"{value.total_seconds():.15g}s"


def _interest_table(interests: Sequence[Interest]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("share", no_wrap=True)
    table.add_column("mass", justify="right", no_wrap=True)
    table.add_column("half-life", justify="right", no_wrap=True)
    table.add_column("what speaks for it")
    for interest in _strongest_first(interests):
        titles = " · ".join(_name(event) for event in interest.evidence)
        table.add_row(
            Text(str(interest.index)),
            Text(f"{_bar(interest.share)} {interest.share:4.0%}"),
            Text(f"{interest.mass:.2f}"),
            Text(_in_words(interest.half_life)),
            Text(titles),
            style=_style(interest),
        )
    return table


def _terms_shown(recommendations: Sequence[Recommendation]) -> list[str]:
    """Names of the score terms; the last one is left out where it is 0 throughout."""
    names = ["affinity", "interest", "popular", "own use"]
    return names if any(item.terms.frequency for item in recommendations) else names[:-1]


def _score_legend(result: RecommendResult | RankResult, terms: Sequence[str]) -> str:
    if result.profile is Profile.LEARNED:
        return f"score = the ranker's own; {' + '.join(terms)} would be that of the formula"
    return f"score = {' + '.join(terms)}"


def _recommendation_table(recommendations: Sequence[Recommendation], terms: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("#", justify="right")
    calibrated = any(item.probability is not None for item in recommendations)
    for name in ("score", *terms, *(["likely"] if calibrated else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, item in enumerate(recommendations, start=1):
        values = (item.terms.affinity, item.terms.interest, item.terms.popularity, item.terms.frequency)
        table.add_row(
            Text(str(rank)),
            _title(item),
            Text("" if item.interest_index is None else str(item.interest_index), style=_colour(item.interest_index)),
            Text(f"{item.score:.2f}", style="bold"),
            *(Text(f"{value:+.2f}") for value in values[: len(terms)]),
            *([] if item.probability is None else [Text(f"{item.probability:.1%}")]),
        )
    return table


def _name(item: Evidence | Recommendation) -> str:
    return in_one_line(item.title or item.item_id)


def _title(item: Recommendation) -> Text:
    title = Text(_name(item))
    if item.categories:
        title.append(f"  {in_one_line(', '.join(item.categories))}", style="dim")
    return title


def _evidence_table(evidence: Sequence[Evidence]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("event")
    table.add_column("time (UTC)", no_wrap=True, style="dim")
    table.add_column("belongs", justify="right", no_wrap=True)
    table.add_column("weight", justify="right", no_wrap=True)
    for event in evidence:
        table.add_row(
            Text(_name(event)),
            Text(minute(event.time)),
            Text(f"{event.assignment:.0%}"),
            Text(f"{event.weight:.0%}"),
        )
    return table


def _print_footer(console: Console, result: RecommendResult | RankResult | InterestsResult, note: str) -> None:
    facts = [note, f"release {result.release_id}", f"as of {minute(result.as_of)} UTC"]
    if result.ignored_event_count:
        facts.append(f"events left out because the release does not know their item: {result.ignored_event_count}")
    console.print(Text(" · ".join(facts), style="dim"), soft_wrap=True)


def _strongest_first(interests: Sequence[Interest]) -> list[Interest]:
    return sorted(interests, key=lambda interest: -interest.share)


def _bar(share: float) -> str:
    filled = round(share * BAR_WIDTH)
    return "█" * filled + "░" * (BAR_WIDTH - filled)


def _newest_first(interests: Sequence[Interest]) -> list[tuple[Evidence, Interest]]:
    """Every item of the history once, with the interest that has the largest part of its newest event."""
    owner: dict[str, tuple[Evidence, Interest]] = {}
    for interest in interests:
        for event in interest.evidence:
            known = owner.get(event.item_id)
            if known is None or known[0].assignment < event.assignment:
                owner[event.item_id] = event, interest
    return sorted(owner.values(), key=lambda pair: pair[0].time, reverse=True)


def _style(interest: Interest) -> str:
    """Its colour, or dim where it is as good as dead."""
    return "dim" if interest.share < DEAD_BELOW_SHARE else _colour(interest.index)


def _colour(interest_index: int | None) -> str:
    return "" if interest_index is None else INTEREST_COLOURS[interest_index % len(INTEREST_COLOURS)]


def _in_words(half_life: timedelta) -> str:
    seconds = half_life.total_seconds()
    for unit, size_s in (("years", YEAR_S), ("days", DAY_S), ("hours", HOUR_S)):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds / 60:.3g} minutes"
