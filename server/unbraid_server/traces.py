"""Calls as OpenTelemetry traces: a span a call, below it one for each step, below its answer one for each stage.

Spans are made when a call is done, out of what was noted meanwhile. So a call that is not sampled costs one decision,
and nothing of OpenTelemetry runs where answers are made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from threading import Lock, Timer
from weakref import WeakKeyDictionary

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import FilteringBoundLogger

from unbraid_server.batch_record import BatchRecord, Turn
from unbraid_server.call_record import CallRecord
from unbraid_server.marks import Part
from unbraid_server.versions import component_versions

__all__ = ["Traces", "open_traces"]

Value = str | int | Sequence[str]

QUEUED_SPANS = 4096
EXPORT_TIMEOUT_S = 5.0
EXPORT_EVERY_MS = 1_000
# The statuses that are the server's own fault, by the semantic conventions for spans of RPC servers.
SERVERS_FAULT = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


class Traces:
    """A witness of calls that makes spans of them. They wait in a bounded queue; what is too much is dropped.

    Args:
        exporter: where spans go, in a thread of their own.
        sample_share: of the calls whose callers do not say whether they are traced; who says so is heeded.
    """

    def __init__(self, exporter: SpanExporter, sample_share: float) -> None:
        self._exporter = exporter
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_share)),
            resource=Resource.create({"service.name": "unbraid", "service.version": component_versions()["unbraid"]}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=QUEUED_SPANS, schedule_delay_millis=EXPORT_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("unbraid")
        self._parents = TraceContextTextMapPropagator()
        self._lock = Lock()
        self._answer_of: WeakKeyDictionary[BatchRecord, SpanContext] = WeakKeyDictionary()

    def ended(self, call: CallRecord) -> None:
        """A call is done."""
        timeline = _Timeline(self._tracer)
        parent = self._parents.extract({key: value for key, value in call.metadata if isinstance(value, str)})
        span = self._tracer.start_span(
            call.method.removeprefix("/"),
            context=parent,
            kind=SpanKind.SERVER,
            start_time=timeline.epoch_ns(call.began_s),
            attributes=_call_attributes(call),
        )
        if span.is_recording():
            for part in call.parts:
                self._add_step(timeline, span, part, call.turn)
            if call.code in SERVERS_FAULT:
                span.set_status(Status(StatusCode.ERROR, call.code))
        span.end(timeline.epoch_ns(call.ended_s))

    def close(self, grace_s: float) -> None:
        """Export what waits, for at most ``grace_s``; later calls are not traced."""
        # The processor waits for the export that is under way; without its channel, that ends.
        over = Timer(grace_s, self._exporter.shutdown)
        over.daemon = True
        over.start()
        self._provider.shutdown()
        over.cancel()
        over.join()

    def _add_step(self, timeline: _Timeline, call: Span, part: Part, turn: Turn | None) -> None:
        batch = None if turn is None or part.name != "answer" else turn.batch
        if turn is None or batch is None:
            timeline.add(call, part).end(timeline.epoch_ns(part.ended_s))
            return
        span = timeline.add(call, part, _batch_attributes(turn, batch))
        first = self._first_answer(batch, span.get_span_context())
        if first != span.get_span_context():
            span.add_link(first)
        for stage in batch.stages:
            timeline.add(span, stage).end(timeline.epoch_ns(stage.ended_s))
        span.end(timeline.epoch_ns(part.ended_s))

    def _first_answer(self, batch: BatchRecord, own: SpanContext) -> SpanContext:
        """The answer of the first call of a batch that was traced, which those of the others are linked to."""
        with self._lock:
            return self._answer_of.setdefault(batch, own)


class _Timeline:
    """Places parts, which have times of ``time.perf_counter``, on the clock of traces."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._offset_s = time.time() - time.perf_counter()

    def epoch_ns(self, time_s: float) -> int:
        return int((time_s + self._offset_s) * 1e9)

    def add(self, parent: Span, part: Part, attributes: Mapping[str, Value] | None = None) -> Span:
        return self._tracer.start_span(
            part.name,
            context=set_span_in_context(parent),
            start_time=self.epoch_ns(part.began_s),
            attributes=attributes,
        )


def _call_attributes(call: CallRecord) -> dict[str, Value]:
    service, _, method = call.method.removeprefix("/").partition("/")
    return {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": grpc.StatusCode[call.code].value[0],
        "unbraid.release_id": call.release_id,
        "unbraid.request_id": call.request_id,
    }


def _batch_attributes(turn: Turn, batch: BatchRecord) -> dict[str, Value]:
    return {
        "unbraid.queries": len(turn.queries),
        "unbraid.batch_queries": batch.query_count,
        "unbraid.profiles": sorted({ranking.profile.value for ranking in turn.rankings}),
        "unbraid.plans": sorted({ranking.plan.value for ranking in turn.rankings if ranking.plan is not None}),
    }


class _ToLog(logging.Handler):
    """What OpenTelemetry has to say, as lines of our log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("traces", message=record.getMessage())


def open_traces(endpoint: str, sample_share: float, log: FilteringBoundLogger) -> Traces:
    """Traces that go to an OTLP collector over gRPC.

    Args:
        endpoint: http://host:port, or https for TLS. Whether anybody listens there matters to no call.
        sample_share: as for ``Traces``.
        log: for what goes wrong on the way.
    """
    library_log = logging.getLogger("opentelemetry")
    library_log.handlers = [_ToLog(log)]
    library_log.propagate = False
    return Traces(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S), sample_share)
