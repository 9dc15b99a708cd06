"""``unbraid load``: how much a running server bears."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unbraid_cli.connection import connected, tls_of_environment, token_of_environment
from unbraid_cli.console import console
from unbraid_cli.filter_text import parse_condition
from unbraid_cli.load_view import live_view, report_table
from unbraid_cli.options import RankingProfile, Server
from unbraid_cli.recommend import Filters
from unbraid_client import Profile
from unbraid_client.channel import DEFAULT_TARGET
from unbraid_core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from unbraid_load import ClosedLoop, OpenLoop, Subject, Threshold

__all__ = ["load"]

MOST_ITEMS = 50_000
LONGEST_HISTORY = 200
FAILED = 1


def load(
    call: Annotated[
        Literal["recommend", "batch-recommend", "stream-recommend"], typer.Option(help="What to call.")
    ] = "recommend",
    rate: Annotated[
        str | None,
        typer.Option(
            help="Open loop: calls a second, whatever becomes of them; or several rates with how long each lasts, such "
            "as 100:10s,200:10s."
        ),
    ] = None,
    callers: Annotated[
        int | None, typer.Option(min=1, help="Closed loop: callers, each of which waits for its answer.")
    ] = None,
    duration: Annotated[
        float, typer.Option(min=0.1, help="Seconds, where --rate says none, after the warm-up.")
    ] = 10.0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many calls, if not before.")] = None,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds of calls before, which are not counted.")] = 2.0,
    timeout: Annotated[float, typer.Option(min=0.001, help="Deadline of a call, in seconds.")] = 1.0,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Processes that make the calls.")] = 1,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Connections of each process.")] = 1,
    users: Annotated[
        Path | None, typer.Option(help="Ask about the users of this file, one id a line, not about made-up histories.")
    ] = None,
    subjects: Annotated[int, typer.Option(min=1, help="Different histories to make up.")] = 5_000,
    history_length: Annotated[int, typer.Option(min=1, max=LONGEST_HISTORY, help="Median events of a history.")] = 30,
    repeat_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls about regulars, a tenth of the subjects.")
    ] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Subjects of a call that takes several.")] = 32,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many items to ask for.")] = 20,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Let items of the history come back.")] = False,
    profile: RankingProfile = None,
    filters: Filters = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 where this holds, such as 'p99>50ms', 'errors>0.1%' or 'rps<500'."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole report to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    server: Server = DEFAULT_TARGET,
) -> int:
    """Load a server, and print how fast it answered, what it refused, and what the generator itself took."""
    from unbraid_load import CallKind, LoadFailed, LoadPlan, Question, prepare, run_load

    thresholds = [_threshold(text) for text in fail_if or ()]
    loop = _loop(rate, callers, duration)
    question = Question(
        limit=limit,
        include_seen=include_seen,
        profile=None if profile is None else Profile(profile),
        conditions=[parse_condition(text) for text in filters or ()],
    )
    asked_about = _subjects(server, users, subjects, history_length, seed)
    plan = LoadPlan(
        target=server,
        kind=CallKind(call),
        requests=prepare(CallKind(call), question, asked_about, batch_size),
        loop=loop,
        warm_up_s=warm_up,
        count=count,
        timeout_s=timeout,
        processes=processes,
        connections=connections,
        repeat_share=repeat_share,
        seed=seed,
        tls=tls_of_environment(),
        token=token_of_environment(),
    )
    try:
        with live_view(plan) as on_progress:
            report = run_load(plan, on_progress)
    except LoadFailed as error:
        raise Unavailable(f"{server}: {error}") from None
    console.print(report_table(report))
    if json_file is not None:
        json_file.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    crossed = [each.text for each in thresholds if each.is_crossed(report)]
    for text in crossed:
        console.print(f"failed: {text}", style="red", markup=False)
    return FAILED if crossed or report.problems else 0


def _threshold(text: str) -> Threshold:
    from unbraid_load import parse_threshold

    try:
        return parse_threshold(text)
    except ValueError as error:
        raise InvalidInput("--fail-if", str(error)) from None


def _loop(rate: str | None, callers: int | None, seconds: float) -> OpenLoop | ClosedLoop:
    from unbraid_load import ClosedLoop, OpenLoop, parse_steps

    if (rate is None) == (callers is None):
        raise InvalidInput("--rate", "give either --rate, for an open loop, or --callers, for a closed one")
    if callers is not None:
        return ClosedLoop(callers, seconds)
    assert rate is not None
    try:
        return OpenLoop(parse_steps(rate, seconds))
    except ValueError as error:
        raise InvalidInput("--rate", str(error)) from None


def _subjects(server: str, users: Path | None, count: int, history_length: int, seed: int) -> list[Subject]:
    """The users of a file, or histories of items that the server has."""
    from unbraid_load import draw_histories, read_item_ids

    with connected(server) as client:
        if users is not None:
            client.get_status()  # it is there
            return _user_ids(users)
        item_ids = read_item_ids(client, MOST_ITEMS)
    if not item_ids:
        raise InvalidInput("--server", f"{server} has no items to make up histories of")
    return draw_histories(item_ids, count, history_length, LONGEST_HISTORY, time.time(), seed)


def _user_ids(users: Path) -> list[Subject]:
    try:
        lines = users.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--users", f"{users} cannot be read: {error}") from None
    found: list[Subject] = [user_id for line in lines if (user_id := line.strip())]
    if not found:
        raise InvalidInput("--users", f"{users} names no user; write one id a line")
    return found
