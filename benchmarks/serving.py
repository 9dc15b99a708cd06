"""Measures what a request costs a server, next to what the pipeline alone costs, and next to other servers.

    python -m benchmarks.serving [--rounds 5] [--seconds 2] [--only NAME] [--releases DIR] [--pytriton-python PATH]

Every server runs in processes of its own and answers the same requests: histories of 50 events, 50 items each. A round
asks each of them in turn, so that what else runs on the machine disturbs all alike; the tables show medians over the
rounds. CPU is that of the server's processes, not that of the load. Five rounds of everything take six minutes on a
quiet machine; where it is stopped (SIGINT, SIGTERM), the tables have the rounds that are complete.
docs/performance.md says how to read and to repeat it.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.core_shares import core_shares, running_on
from benchmarks.cpu_time import cpu_s
from benchmarks.ordered_process import OrderedProcess, OrderFailedError
from benchmarks.server_process import server_process
from benchmarks.serving_peers import PeerFailedError, inline_process, peer_process, peers
from benchmarks.serving_report import COMPUTE, Measurement, Round, print_report, save
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console

from unbraid_core.release import ReleaseStore

USERS = 1_000
BATCH = 32
TITLE = "A title of about forty letters, as usual"
# For how long a server whose port is open may still fail, and how long it is asked to find out.
READY_S, TRIAL_S = 30.0, 0.2

Contender = Callable[[float], Measurement]
BEGAN_S = time.monotonic()


def main() -> int:
    """Play all rounds and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", type=re.compile, default="", help="a pattern: start and ask only what has it in its name"
    )
    parser.add_argument("--releases", type=Path, help="keep the release there, for the next run")
    parser.add_argument("--pytriton-python", type=Path, help="the Python of an environment that has PyTriton")
    parser.add_argument("--json", type=Path, help="write all measurements")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rounds: list[Round] = []
    with ExitStack() as stack:
        folder = options.releases or Path(stack.enter_context(TemporaryDirectory())) / "releases"
        try:
            publish(folder, options.items)
            asked = contenders(stack, folder, options.items, options.only, options.pytriton_python)
            for complete in play(asked, options.rounds, options.seconds):
                rounds.append(complete)
                if options.json:
                    save(rounds, options.json)
        except (KeyboardInterrupt, OrderFailedError) as error:
            say(f"ended early: {error!r}")
        if rounds:
            print_report(rounds)
    return 0 if len(rounds) == options.rounds else 1


def say(progress: str) -> None:
    """How far it is."""
    Console(stderr=True).print(f"{time.monotonic() - BEGAN_S:4.0f} s  {progress}", soft_wrap=True, highlight=False)


def publish(folder: Path, item_count: int) -> None:
    """Make a release active in the folder, where none is."""
    store = ReleaseStore(folder)
    if store.current_id() is None:
        say(f"makes a release of {item_count:,} items")
        now = datetime.now(UTC)
        store.activate(publish_synthetic_release(store, item_count, TITLE, now), now)


def contenders(
    stack: ExitStack, releases: Path, item_count: int, only: re.Pattern[str], pytriton: Path | None
) -> dict[str, Contender]:
    """Everything that is measured, running, by name."""
    made = str(item_count), str(USERS)
    cores = core_shares(os.sched_getaffinity(0))
    say(f"servers on cores {sorted(cores.servers)}, their load on {sorted(cores.load)}")
    with running_on({min(cores.servers)}):
        pipeline = stack.enter_context(OrderedProcess("benchmarks.compute_loop", str(releases), *made))
    with running_on(cores.load):
        load = stack.enter_context(OrderedProcess("benchmarks.closed_loop", *made))
    running: dict[str, Contender] = {COMPUTE: lambda seconds: pipeline.ask(batch=BATCH, seconds=seconds)}
    for server in servers(releases, pytriton):
        wanted = [each for each in server.questions if only.search(f"{server.name}, {each.name}")]
        if not wanted:
            continue
        try:
            with running_on(cores.servers):
                target, process_id = stack.enter_context(server.start())
            asked = {
                f"{server.name}, {each.name}": asked_of(load, target, process_id, each.form, each.callers)
                for each in wanted
            }
            await_answer(next(iter(asked.values())))
        except (PeerFailedError, OrderFailedError) as error:
            say(f"{server.name} is left out: {error}")
        else:
            say(f"{server.name} answers")
            running |= asked
    return running


def asked_of(load: OrderedProcess, target: str, process_id: int, form: str, callers: int) -> Contender:
    """What asks a server."""

    def ask(seconds: float) -> Measurement:
        before_s = cpu_s(process_id)
        seen = load.ask(form=form, target=target, callers=callers, seconds=seconds)
        return {**seen, "cpu_s": cpu_s(process_id) - before_s}

    return ask


def await_answer(ask: Contender) -> None:
    """Ask a server until it answers, which some cannot when their port is open."""
    until_s = time.monotonic() + READY_S
    while True:
        try:
            ask(TRIAL_S)
        except OrderFailedError:
            if time.monotonic() > until_s:
                raise
            time.sleep(TRIAL_S)
        else:
            return


class Question(NamedTuple):
    """What a server is asked: a form of requests, and by how many callers."""

    name: str
    form: str
    callers: int


class ServerKind(NamedTuple):
    """A server, how to start it, and what it is asked. A running one is a target and a process id."""

    name: str
    start: Callable[[], AbstractContextManager[tuple[str, int]]]
    questions: Sequence[Question]


def servers(releases: Path, pytriton: Path | None) -> Iterator[ServerKind]:
    """All that are measured."""

    def calls(*counts: int, form: str = "recommend") -> list[Question]:
        return [Question(f"{count} callers", form, count) for count in counts]

    pinned = partial(server_process, releases, pin_workers="true")
    many = [
        Question("BatchRecommend of 32, 2 callers", "batch", 2),
        Question("StreamRecommend, 64 on their way", "stream", 64),
    ]
    yield ServerKind("unbraid", partial(pinned, interest_cache_mb="0"), [*calls(1, 8, 32, 128), *many])
    yield ServerKind("unbraid with its cache", pinned, [*calls(32), *many])
    yield ServerKind("unbraid on any core", partial(server_process, releases, interest_cache_mb="0"), calls(1, 32))
    two_workers = partial(server_process, releases, "--workers", "2", interest_cache_mb="0")
    yield ServerKind("unbraid with 2 workers", two_workers, calls(32, 128))
    yield ServerKind("unbraid without batcher", partial(inline_process, releases), calls(1, 32))
    for name, peer in peers(pytriton).items():
        yield ServerKind(name, partial(peer_process, peer, releases), calls(1, 32, form=peer.form))


def play(asked: Mapping[str, Contender], rounds: int, seconds: float) -> Iterator[Round]:
    """Ask each once to warm it up, then each in every round."""
    for number in range(rounds + 1):
        measured = {name: ask(seconds) for name, ask in asked.items()}
        say(f"round {number} of {rounds}" if number else "all are warm")
        if number:
            yield measured


if __name__ == "__main__":
    sys.exit(main())
