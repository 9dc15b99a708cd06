"""A process of a load test, and what it and its parent tell each other."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from selectors import SelectSelector
from typing import Any

import grpc
import grpc.aio

from unbraid_load.calls import CALLS
from unbraid_load.generator import Generator
from unbraid_load.methods import Method
from unbraid_load.plan import LoadPlan
from unbraid_load.raw_channel import open_load_channel, raw_stub
from unbraid_load.tally import PackedTally

__all__ = ["Done", "News", "Ready", "Start", "Stop", "Unconnected", "work"]

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Start:
    """From the parent: the warm-up begins at this moment of ``time.monotonic``, which processes share."""

    start_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """From the parent: that is enough."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: it is connected."""


@dataclass(frozen=True, slots=True)
class Unconnected:
    """From a worker: it cannot connect, and has ended."""


@dataclass(frozen=True, slots=True)
class News:
    """From a worker: what became of its calls in one interval.

    Attributes:
        number: of the interval; the first one after the warm-up is 0.
        tallies: by step.
        in_flight: calls in progress when it ended.
        cpu_s: CPU seconds of the worker since the news before.
    """

    number: int
    tallies: dict[int, PackedTally]
    in_flight: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """From a worker: it has ended; all calls after the warm-up are counted.

    Attributes:
        measured_s: how long calls were made.
        cpu_s: CPU seconds of the worker from the end of the warm-up.
        tallies: of the calls that the last news knew nothing of.
    """

    measured_s: float
    cpu_s: float
    tallies: dict[int, PackedTally]


def work(plan: LoadPlan, number: int, parent: Connection) -> None:
    """Do the part of one process. Ctrl-C is for the parent to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The selector that asyncio takes by default rounds every wait up to whole milliseconds.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(SelectSelector())) as runner:
        runner.run(_work(plan, number, parent))


async def _work(plan: LoadPlan, number: int, parent: Connection) -> None:
    channels = [open_load_channel(plan.target, plan.tls, plan.token) for _ in range(plan.connections)]
    if all([await _is_connected(channel) for channel in channels]):
        parent.send(Ready())
        order = parent.recv()
        if isinstance(order, Start):
            await _generate(plan, number, channels, order.start_s, parent)
    else:
        parent.send(Unconnected())
    for channel in channels:
        await channel.close()


async def _is_connected(channel: grpc.aio.Channel) -> bool:
    state = channel.get_state(try_to_connect=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_S):
            while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
                await channel.wait_for_state_change(state)
                state = channel.get_state()
    return state is grpc.ChannelConnectivity.READY


async def _generate(
    plan: LoadPlan, number: int, channels: list[grpc.aio.Channel], start_s: float, parent: Connection
) -> None:
    call = CALLS[plan.kind]
    stubs: list[Any] = [raw_stub(channel) for channel in channels]
    methods: list[Method] = [call.form(getattr(stub, call.method)) for stub in stubs]
    generator = Generator(plan, number, methods, start_s)
    measured_from_s = start_s + plan.warm_up_s
    cpu_before_s = 0.0

    def begin_to_measure() -> None:
        nonlocal cpu_before_s
        cpu_before_s = time.process_time()

    loop = asyncio.get_running_loop()
    loop.call_later(measured_from_s - time.monotonic(), begin_to_measure)
    # The only thing that a parent says now is that it is enough, or nothing any more.
    loop.add_reader(parent.fileno(), generator.stop)
    news = asyncio.create_task(_tell(generator, measured_from_s, plan.interval_s, parent))
    await generator.run()
    loop.remove_reader(parent.fileno())
    news.cancel()
    parent.send(Done(generator.measured_s, time.process_time() - cpu_before_s, _packed(generator)))


async def _tell(generator: Generator, measured_from_s: float, interval_s: float, parent: Connection) -> None:
    number = int((time.monotonic() - measured_from_s) // interval_s)
    cpu_before_s = time.process_time()
    while True:
        await asyncio.sleep(measured_from_s + (number + 1) * interval_s - time.monotonic())
        cpu_s = time.process_time()
        parent.send(News(number, _packed(generator), generator.in_flight, cpu_s - cpu_before_s))
        cpu_before_s = cpu_s
        number += 1


def _packed(generator: Generator) -> dict[int, PackedTally]:
    return {step: tally.packed() for step, tally in generator.take().items()}
