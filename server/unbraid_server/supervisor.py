"""``python -m unbraid_server.supervisor SETTINGS`` keeps several workers answering on one port.

The kernel spreads connections over the workers, since each of them listens with SO_REUSEPORT. The supervisor itself
answers nothing: it is small, and has nothing loaded that could crash it.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import Unavailable, UnbraidError
from unbraid_server.backoff import Backoff
from unbraid_server.logs import open_log
from unbraid_server.metrics_endpoint import MetricsEndpoint
from unbraid_server.port import address_refused, reserve_port
from unbraid_server.sent_signals import SentSignals
from unbraid_server.settings import ServerSettings
from unbraid_server.worker_metrics import WORKER_METRICS_HOST, WorkerMetrics
from unbraid_server.worker_news import Ready, WorkerOrder
from unbraid_server.worker_process import WorkerProcess

__all__ = ["main", "supervise"]

# What runs when the grace is over still runs to its end; so much longer it may take.
LEAVE_S = 5.0

Event = WorkerProcess | signal.Signals


def main() -> int:
    """Supervise as the command line says; 2 where that cannot be."""
    settings = ServerSettings.model_validate_json(sys.argv[1])
    try:
        supervise(settings, lambda ready: _say(f"{ready.line}, {settings.worker_count} workers"))
    except UnbraidError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    return 0


def supervise(settings: ServerSettings, on_ready: Callable[[Ready], None]) -> None:
    """Start workers and keep them running until SIGTERM or SIGINT, then let them finish their calls.

    SIGHUP is passed on to them. Call it from the main thread: only that one receives signals.

    Args:
        settings: of every worker.
        on_ready: called once all workers accept calls, with what the first one said.

    Raises:
        Unavailable: the address cannot be had, or a worker ended before it was ready.
        UnbraidError: the settings or the release cannot be used; the message is that of the worker.
    """
    try:
        reserved = reserve_port(settings.host, settings.port)
    except OSError as error:
        raise address_refused(settings.address, str(error.strerror)) from None
    with reserved:
        bound = settings.model_copy(update={"port": reserved.getsockname()[1], "workers": settings.worker_count})
        supervisor = Supervisor(bound, open_log(bound.log_level, bound.log_format), on_ready)
        endpoint = None if settings.metrics_port is None else supervisor.listen_for_scrapes(settings.metrics_port)
        try:
            supervisor.run()
        finally:
            if endpoint is not None:
                endpoint.close()


@dataclass(slots=True)
class _Place:
    """One of the workers: its process, or when there will be one again.

    Attributes:
        worker: None while there is none.
        ready_s: when it was ready, None until then.
        start_s: when to start one, where there is none.
        backoff: decides about that.
    """

    worker: WorkerProcess | None = None
    ready_s: float | None = None
    start_s: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Reacts to signals and to news of workers, one after the other, in one thread."""

    def __init__(
        self,
        settings: ServerSettings,
        log: FilteringBoundLogger,
        on_ready: Callable[[Ready], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._log, self._on_ready, self._clock = settings, log, on_ready, clock
        self._places = {number: _Place() for number in range(1, settings.worker_count + 1)}
        self._were_all_ready = False
        self._ended_count = 0
        self._events: SimpleQueue[Event] = SimpleQueue()

    def listen_for_scrapes(self, port: int) -> MetricsEndpoint:
        """Let Prometheus read the metrics of all workers.

        Raises:
            Unavailable: the address cannot be had.
        """
        registry = CollectorRegistry()
        registry.register(WorkerMetrics(self._metrics_ports, lambda: self._ended_count))
        endpoint = MetricsEndpoint(registry, self._settings.metrics_host, port)
        self._log.info("metrics", port=endpoint.port)
        return endpoint

    def run(self) -> None:
        """Keep the workers running until a signal says otherwise.

        Raises:
            Unavailable, UnbraidError: as ``supervise``.
        """
        sent = SentSignals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        threading.Thread(target=self._listen, args=(sent,), name="signals", daemon=True).start()
        try:
            while True:
                event = self._next_event(self._start_due())
                if event in {signal.SIGTERM, signal.SIGINT}:
                    self._log.info("draining", workers=len(self._running()), grace_s=self._settings.grace_s)
                    break
                if isinstance(event, signal.Signals):
                    self._pass_on(event)
                elif event is not None:
                    self._follow(event)
        finally:
            self._end_all()
        self._log.info("stopped")

    def _listen(self, sent: SentSignals) -> None:
        while True:
            self._events.put(sent.wait())

    def _start_due(self) -> float | None:
        """Start what is due, and return the seconds until something else is."""
        now_s = self._clock()
        waiting = [(number, place) for number, place in self._places.items() if place.worker is None]
        for number, place in waiting:
            if place.start_s <= now_s:
                place.ready_s = None
                place.worker = WorkerProcess(
                    WorkerOrder(settings=_of_worker(self._settings), number=number), self._events.put
                )
        return min((place.start_s - now_s for _, place in waiting if place.worker is None), default=None)

    def _next_event(self, timeout_s: float | None) -> Event | None:
        try:
            return self._events.get(timeout=timeout_s)
        except Empty:
            return None

    def _running(self) -> list[WorkerProcess]:
        return [place.worker for place in self._places.values() if place.worker is not None]

    def _metrics_ports(self) -> dict[int, int]:
        ready = {worker.number: worker.ready for worker in self._running()}
        return {number: news.metrics_port for number, news in ready.items() if news is not None and news.metrics_port}

    def _pass_on(self, number: signal.Signals) -> None:
        # One that is not ready yet has no handler for it, and will see the newest release anyway.
        for worker in self._running():
            if worker.ready is not None:
                worker.send(number)

    def _follow(self, worker: WorkerProcess) -> None:
        """React to what has become of a worker."""
        place = self._places[worker.number]
        if place.worker is not worker:
            return  # its end was seen already, with the news that it was ready
        if worker.ready is not None and place.ready_s is None:
            place.ready_s = self._clock()
            self._log.info("worker ready", worker=worker.number, pid=worker.pid)
            self._announce()
        if worker.exit_code is not None:
            place.worker = None
            self._ended_count += 1
            if worker.ready is None:
                self._give_up_where_hopeless(worker)
            self._schedule(place, worker)

    def _announce(self) -> None:
        """Say that calls are answered, once all workers do so for the first time."""
        ready = [worker.ready for worker in self._running() if worker.ready is not None]
        if not self._were_all_ready and len(ready) == len(self._places):
            self._were_all_ready = True
            self._on_ready(ready[0])

    def _give_up_where_hopeless(self, worker: WorkerProcess) -> None:
        """A worker that cannot start is tried again only where others show that it can be."""
        if self._were_all_ready and any(each.ready is not None for each in self._running()):
            return
        if worker.refusal is not None:
            raise UnbraidError(worker.refusal)
        raise Unavailable(f"worker {worker.number} {worker.end} before it was ready; its log may say why")

    def _schedule(self, place: _Place, worker: WorkerProcess) -> None:
        """Decide when to start the next one in a place."""
        now_s = self._clock()
        delay_s = place.backoff.delay_s(0.0 if place.ready_s is None else now_s - place.ready_s)
        place.start_s = now_s + delay_s
        self._log.log(
            logging.ERROR if worker.exit_code else logging.INFO,  # somebody may have asked it to leave
            "worker ended",
            worker=worker.number,
            pid=worker.pid,
            exit_code=worker.exit_code,
            error=worker.refusal or worker.end,
            restart_in_s=delay_s,
        )

    def _end_all(self) -> None:
        """Let all workers finish their calls, and kill those that do not leave."""
        for worker in self._running():
            worker.send(signal.SIGTERM)
        for worker in self._still_there(self._clock() + self._settings.grace_s + LEAVE_S):
            self._log.error("worker killed", worker=worker.number, pid=worker.pid)
            worker.send(signal.SIGKILL)
        self._still_there(None)

    def _still_there(self, until_s: float | None) -> list[WorkerProcess]:
        """Wait for the end of all workers, and return those that have not ended by then."""
        while running := [worker for worker in self._running() if worker.exit_code is None]:
            timeout_s = None if until_s is None else max(0.0, until_s - self._clock())
            if self._next_event(timeout_s) is None:
                return running
        return []


def _of_worker(settings: ServerSettings) -> ServerSettings:
    """The supervisor alone reads the metrics of a worker, on whichever port."""
    if settings.metrics_port is None:
        return settings
    return settings.model_copy(update={"metrics_host": WORKER_METRICS_HOST, "metrics_port": 0})


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
