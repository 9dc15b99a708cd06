"""Makes the calls of one process, by asyncio.

Blocking calls in threads, futures with callbacks, and asyncio were compared: ``python -m benchmarks.callers``. With 32
calls in progress, futures and asyncio took about as much CPU a call, and threads half as much again to twice as much;
asyncio needs no locks.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import cycle
from random import Random

from unbraid_load.arrivals import Step, poisson_times
from unbraid_load.audience import turns
from unbraid_load.calls import CALLS
from unbraid_load.methods import Method
from unbraid_load.plan import ClosedLoop, LoadPlan, OpenLoop
from unbraid_load.tally import OK, Tally

__all__ = ["Generator"]


class Generator:
    """One of the processes of a load test.

    Args:
        plan: of all processes together.
        number: which of the processes this is, from 0.
        methods: the method to call, once for each connection.
        start_s: when the warm-up begins, by ``time.monotonic``.

    Attributes:
        in_flight: calls that were sent and have not ended.
        measured_s: seconds from the end of the warm-up to that of the last call that was due.
    """

    def __init__(self, plan: LoadPlan, number: int, methods: list[Method], start_s: float) -> None:
        self._plan = plan
        self._rng = Random(f"{plan.seed}/{number}")
        self._share = 1 / plan.processes
        self._methods = cycle(methods)
        self._turns = turns(len(plan.requests), plan.repeat_share, number * self._share, self._rng)
        self._left = None if plan.count is None else _part(plan.count, number, plan.processes)
        self._number = number
        self._start_s, self._measured_from_s = start_s, start_s + plan.warm_up_s
        self._tallies: dict[int, Tally] = {}
        self._loop: asyncio.Task[None] | None = None
        self.in_flight = 0
        self.measured_s = 0.0

    async def run(self) -> None:
        """Make all calls, and wait for their answers."""
        loop = self._plan.loop
        self._loop = asyncio.create_task(self._open(loop) if isinstance(loop, OpenLoop) else self._closed(loop))
        with suppress(asyncio.CancelledError):
            await self._loop

    def stop(self) -> None:
        """Make no more calls, and give up those in progress."""
        self.measured_s = max(0.0, time.monotonic() - self._measured_from_s)
        if self._loop is not None:
            self._loop.cancel()

    def take(self) -> dict[int, Tally]:
        """What became of the calls since it was asked last, by their step."""
        taken, self._tallies = self._tallies, {}
        return taken

    async def _open(self, loop: OpenLoop) -> None:
        warm_up = Step(loop.steps[0].rate, self._plan.warm_up_s)
        async with asyncio.TaskGroup() as calls:
            for after_s, number in poisson_times([warm_up, *loop.steps], self._share, self._rng):
                due_s = self._start_s + after_s
                step = number - 1
                if step >= 0 and not self._may_call():
                    break
                # Behind schedule, the answers that have come still have their turn.
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                if time.monotonic() - due_s < self._plan.timeout_s:
                    calls.create_task(self._call(due_s, step))
                elif step >= 0:
                    self._tally(step).unsent_count += 1
            else:
                await asyncio.sleep(self._measured_from_s + loop.seconds - time.monotonic())
            self.measured_s = time.monotonic() - self._measured_from_s

    async def _closed(self, loop: ClosedLoop) -> None:
        end_s = self._measured_from_s + loop.seconds

        async def keep_calling() -> None:
            await asyncio.sleep(self._start_s - time.monotonic())
            while (now_s := time.monotonic()) < end_s:
                step = 0 if now_s >= self._measured_from_s else -1
                if step >= 0 and not self._may_call():
                    break
                await self._call(now_s, step)

        async with asyncio.TaskGroup() as callers:
            for _ in range(_part(loop.callers, self._number, self._plan.processes)):
                callers.create_task(keep_calling())
        self.measured_s = time.monotonic() - self._measured_from_s

    def _may_call(self) -> bool:
        """Whether the count leaves room for one more call, which is then made."""
        if self._left is None:
            return True
        self._left -= 1
        return self._left >= 0

    async def _call(self, due_s: float, step: int) -> None:
        request = self._plan.requests[next(self._turns)]
        self.in_flight += 1
        sent_s = time.monotonic()
        try:
            code, answer = await next(self._methods)(request, self._plan.timeout_s)
        finally:
            self.in_flight -= 1
        if step < 0:
            return
        end_s = time.monotonic()
        tally = self._tally(step)
        tally.record(code, due_s, sent_s, end_s)
        if code == OK and self._rng.random() < self._plan.check_share:
            tally.check(CALLS[self._plan.kind].problem(answer))

    def _tally(self, step: int) -> Tally:
        return self._tallies.setdefault(step, Tally())


def _part(whole: int, number: int, processes: int) -> int:
    """What one of several processes has of a whole."""
    return whole // processes + (number < whole % processes)
