"""``unbraid top``: what a running server does, again and again."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer
from rich.live import Live

from unbraid_cli.connection import connected
from unbraid_cli.console import console
from unbraid_cli.options import Json, Server
from unbraid_cli.serving_rates import rates_between
from unbraid_cli.top_view import Frame, line, view
from unbraid_client import ClientError, ServerStatus
from unbraid_client.channel import DEFAULT_TARGET
from unbraid_core.errors import Unavailable

__all__ = ["top"]

# Rates are of the last ten seconds: shorter ones jump, longer ones lag.
WINDOW_S = 10.0
TIMEOUT_S = 2.0


def top(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print what happened between, and end.")] = False,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Show what a server does until Ctrl-C: calls, latencies, batches, and where the time goes."""
    frames = _frames(server, interval, gives_up=once)
    if once:
        frames = islice(frames, 1, 2)
    # Ctrl-C is how one leaves.
    with suppress(KeyboardInterrupt):
        if as_json:
            for frame in frames:
                typer.echo(json.dumps(asdict(frame), default=str))
        elif console.is_terminal and not once:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                for frame in frames:
                    live.update(view(frame, server), refresh=True)
        else:
            for frame in frames:
                console.print(view(frame, server) if once else line(frame), soft_wrap=not once)


def _frames(server: str, interval_s: float, *, gives_up: bool) -> Iterator[Frame]:
    """A look now and after every interval; where nobody answers, what was wrong.

    It connects anew after a failure: a connection that was refused waits longer and longer before it tries again.
    """
    while True:
        seen: deque[tuple[float, ServerStatus]] = deque()
        try:
            with connected(server) as client:
                while True:
                    began_s = time.monotonic()
                    yield _next_frame(seen, began_s, client.get_status(timeout_s=TIMEOUT_S))
                    time.sleep(max(0.0, began_s + interval_s - time.monotonic()))
        except (ClientError, Unavailable) as error:
            if gives_up:
                raise
            yield Frame(None, None, str(error))
            time.sleep(interval_s)


def _next_frame(seen: deque[tuple[float, ServerStatus]], now_s: float, status: ServerStatus) -> Frame:
    """The rates since the oldest look of the window, as far as the same process answered."""
    if seen and seen[-1][1].serving.process_id != status.serving.process_id:
        seen.clear()
    while len(seen) > 1 and now_s - seen[0][0] > WINDOW_S:
        seen.popleft()
    seen.append((now_s, status))
    first_s, first = seen[0]
    rates = None if len(seen) == 1 else rates_between(first.serving, status.serving, now_s - first_s)
    return Frame(status, rates, "")
