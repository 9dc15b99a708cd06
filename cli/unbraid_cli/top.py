"""``unbraid top``: what a running server does, again and again."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer
from rich.live import Live

from unbraid_cli.connection import explained
from unbraid_cli.console import console
from unbraid_cli.options import Json, Server
from unbraid_cli.serving_rates import Stretch, rates_of
from unbraid_cli.top_view import Frame, WorkerFrame, line, view
from unbraid_cli.worker_watch import WorkerWatch
from unbraid_client import ClientError, ServerStatus
from unbraid_client.channel import DEFAULT_TARGET
from unbraid_core.errors import Unauthenticated, Unavailable

__all__ = ["top"]

# Rates are of the last ten seconds: shorter ones jump, longer ones lag.
WINDOW_S = 10.0


def top(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print what happened between, and end.")] = False,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Show what a server and its workers do until Ctrl-C: calls, latencies, batches, and where the time goes."""
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
        window = _Window()
        try:
            with explained(server), WorkerWatch(server) as watch:
                while True:
                    began_s = time.monotonic()
                    yield window.frame(began_s, watch.look())
                    time.sleep(max(0.0, began_s + interval_s - time.monotonic()))
        except (ClientError, Unavailable, Unauthenticated) as error:
            if gives_up:
                raise
            yield Frame((), None, str(error))
            time.sleep(interval_s)


class _Window:
    """The looks of the last seconds, so that rates are of all of them."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[int, ServerStatus]]] = deque()

    def frame(self, now_s: float, statuses: Sequence[ServerStatus]) -> Frame:
        """What is seen now, with the rates since the oldest look, as far as the same processes answered."""
        while len(self._looks) > 1 and now_s - self._looks[0][0] > WINDOW_S:
            self._looks.popleft()
        stretches = [self._stretch(now_s, status) for status in statuses]
        self._looks.append((now_s, {status.serving.process_id: status for status in statuses}))
        known = [stretch for stretch in stretches if stretch is not None]
        return Frame(
            workers=tuple(
                WorkerFrame(status, None if stretch is None else rates_of([stretch]))
                for status, stretch in zip(statuses, stretches, strict=True)
            ),
            rates=rates_of(known) if known else None,
            problem="",
        )

    def _stretch(self, now_s: float, status: ServerStatus) -> Stretch | None:
        """Since the oldest look at the same process, None where there is none."""
        process_id = status.serving.process_id
        for then_s, earlier in self._looks:
            if process_id in earlier:
                return Stretch(earlier[process_id].serving, status.serving, now_s - then_s)
        return None
