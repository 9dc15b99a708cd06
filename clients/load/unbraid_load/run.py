"""Runs a load test: starts its processes, adds up what they tell, and makes the report."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from unbraid_load.plan import LoadPlan, OpenLoop
from unbraid_load.report import LoadReport, StepReport, TimelineRow
from unbraid_load.tally import PackedTally, Tally
from unbraid_load.worker import Done, News, Start, Stop, Unconnected, work

__all__ = ["LoadFailed", "Progress", "run_load"]

START_AFTER_S = 0.1


class LoadFailed(Exception):
    """A load test could not be run; ``str(error)`` is one line for a person."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load test is.

    Attributes:
        elapsed_s: since the end of the warm-up, negative before.
        newest: the calls that ended in the newest interval that all processes have told of.
        total: all calls so far.
    """

    elapsed_s: float
    newest: TimelineRow
    total: Tally


def run_load(plan: LoadPlan, on_progress: Callable[[Progress], None] = lambda _: None) -> LoadReport:
    """Run a load test in processes of its own. Ctrl-C ends it early, with a report of what was measured until then.

    Args:
        plan: of the test.
        on_progress: told after every interval.

    Raises:
        LoadFailed: a process could not connect, or died.
    """
    with _Crew(plan) as crew:
        account = _Account(plan, on_progress)
        try:
            crew.start()
            crew.listen(account.hear)
        except KeyboardInterrupt:
            account.is_stopped = True
            crew.stop()
            crew.listen(account.hear)
    return account.report()


class _Crew:
    """The processes of a load test."""

    def __init__(self, plan: LoadPlan) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: dict[Connection, BaseProcess] = {}
        for number in range(plan.processes):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(plan, number, there), daemon=True, name=f"load-{number}")
            process.start()
            there.close()
            self._processes[here] = process

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in self._processes.items():
            process.terminate()
            process.join()
            connection.close()

    def start(self) -> None:
        """Have all begin at the same moment, once all are connected."""
        for connection in self._processes:
            if isinstance(_received(connection), Unconnected):
                raise LoadFailed("a process of the load test could not connect to the server")
        start_s = time.monotonic() + START_AFTER_S
        for connection in self._processes:
            connection.send(Start(start_s))

    def stop(self) -> None:
        """Have all end."""
        for connection in self._processes:
            connection.send(Stop())

    def listen(self, hear: Callable[[News | Done], None]) -> None:
        """Hand on what the processes tell, until each has said that it is done."""
        talking = set(self._processes)
        while talking:
            for connection in wait(list(talking)):
                assert isinstance(connection, Connection)
                message = _received(connection)
                if isinstance(message, Done):
                    talking.remove(connection)
                if isinstance(message, News | Done):
                    hear(message)


def _received(connection: Connection) -> object:
    try:
        message: object = connection.recv()
    except EOFError:
        raise LoadFailed("a process of the load test died") from None
    return message


@dataclass(slots=True)
class _Interval:
    """What some of the processes told of an interval so far."""

    tally: Tally = field(default_factory=Tally)
    in_flight: int = 0
    cpu_s: float = 0.0
    told_count: int = 0


class _Account:
    """Adds up what the processes tell."""

    def __init__(self, plan: LoadPlan, on_progress: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._steps: dict[int, Tally] = {}
        self._total = Tally()
        self._intervals: dict[int, _Interval] = {}
        self._timeline: list[TimelineRow] = []
        self._measured_s = 0.0
        self._cpu_s = 0.0
        self.is_stopped = False

    def hear(self, message: News | Done) -> None:
        """Add what a process tells."""
        tally = self._add(message.tallies)
        if isinstance(message, Done):
            self._measured_s = max(self._measured_s, message.measured_s)
            self._cpu_s += message.cpu_s
            return
        interval = self._intervals.setdefault(message.number, _Interval())
        interval.tally.add(tally)
        interval.in_flight += message.in_flight
        interval.cpu_s += message.cpu_s
        interval.told_count += 1
        if interval.told_count == self._plan.processes:
            self._close(message.number, self._intervals.pop(message.number))

    def report(self) -> LoadReport:
        """What was found."""
        loop = self._plan.loop
        steps = []
        if isinstance(loop, OpenLoop):
            left_s = self._measured_s
            for number, step in enumerate(loop.steps):
                seconds = min(step.seconds, left_s)
                left_s -= seconds
                steps.append(StepReport.of(self._steps.get(number, Tally()), step.rate, seconds))
        total = StepReport.of(self._total, None, self._measured_s)
        return LoadReport(
            total=total,
            steps=steps or [total],
            timeline=self._timeline,
            processes=self._plan.processes,
            cpu_s=self._cpu_s,
            checked_count=self._total.checked_count,
            problems=self._total.problems,
            is_stopped=self.is_stopped,
        )

    def _add(self, packed: dict[int, PackedTally]) -> Tally:
        added = Tally()
        for step, each in packed.items():
            tally = Tally.unpacked(each)
            self._steps.setdefault(step, Tally()).add(tally)
            added.add(tally)
        self._total.add(added)
        return added

    def _close(self, number: int, interval: _Interval) -> None:
        interval_s = self._plan.interval_s
        began_s = number * interval_s
        row = TimelineRow.of(began_s, interval.tally, interval.in_flight, interval.cpu_s / interval_s)
        if number >= 0:
            self._timeline.append(row)
        self._on_progress(Progress(began_s + interval_s, row, self._total))
