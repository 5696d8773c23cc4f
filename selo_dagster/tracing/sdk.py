"""Sends spans by OpenTelemetry's SDK: the one module that imports it. The SDK reads its own environment variables."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from selo_dagster.tracing.places import Place
from selo_dagster.tracing.switch import FLUSH_S

log = logging.getLogger(__name__)

NAME: Final = "selo_dagster"


class Told:
    """A span of the SDK's."""

    __slots__ = ("_span", "ids")

    def __init__(self, begun: Span) -> None:
        context = begun.get_span_context()
        self._span, self.ids = begun, (context.trace_id, context.span_id)

    def tell(self, attributes: Mapping[str, str | float | bool | Sequence[str] | Sequence[int]]) -> None:
        """Set attributes."""
        self._span.set_attributes(attributes)

    def broke(self, code: str) -> None:
        """Say that it went wrong: a class or a code, and no word more."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(StatusCode.ERROR)

    def end(self, ended_at: int) -> None:
        """End it. ended_at: nanoseconds since 1970."""
        self._span.end(ended_at)


class Sending:
    """Begins spans, and sends them in batches from a thread of the SDK's: whoever works never waits for a collector.

    It is nobody's global provider: what else is instrumented in the same process stays as it is.
    """

    def __init__(self, exporters: Sequence[SpanExporter] | None = None) -> None:
        own = {SERVICE_NAME: NAME, SERVICE_VERSION: version("selo-dagster")}
        said = OTELResourceDetector().detect()
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create(own).merge(said), id_generator=self._ids, shutdown_on_exit=False
        )
        for exporter in exporters_by_name() if exporters is None else exporters:
            self._provider.add_span_processor(BatchSpanProcessor(Guarded(exporter)))
        self._tracer = self._provider.get_tracer(NAME, own[SERVICE_VERSION])
        self._flusher = _Flusher(self._provider)
        # It would repeat for each batch, with the collector's address and its answer, what `Guarded` says once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        atexit.register(self.flush, FLUSH_S)

    def begin(
        self, name: str, trace_id: int, *, above: int | None, own: int | None = None, link: Place | None = None
    ) -> Told:
        """Begin a span of a trace. above: id of the span over it; None: it is the first. own: the id that it gets."""
        context = Context() if above is None else set_span_in_context(self._remote(name, trace_id, above), Context())
        links = [] if link is None else [Link(self._remote(name, link.trace_id, link.span_id).get_span_context())]
        self._ids.next(trace_id, own)
        try:
            return Told(self._tracer.start_span(name, context, links=links, record_exception=False))
        finally:
            self._ids.next(None, None)

    def _remote(self, name: str, trace_id: int, span_id: int) -> NonRecordingSpan:
        # Whether a trace is kept depends on its id alone, so that all processes keep the same ones.
        kept = self._provider.sampler.should_sample(Context(), trace_id, name).decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if kept else TraceFlags.DEFAULT)
        return NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags))

    def flush(self, seconds: float) -> bool:
        """Send what is waiting; returns whether it was handed over in time."""
        return self._flusher.flush(seconds)


class _Ids(RandomIdGenerator):
    """Random ids, but for the span that is begun just now in this thread, if it has some of its own."""

    def __init__(self) -> None:
        self._wanted = threading.local()

    def next(self, trace_id: int | None, span_id: int | None) -> None:
        """Give the next span of this thread these ids."""
        self._wanted.ids = trace_id, span_id

    def generate_trace_id(self) -> int:
        wanted: tuple[int | None, int | None] = getattr(self._wanted, "ids", (None, None))
        return wanted[0] or super().generate_trace_id()

    def generate_span_id(self) -> int:
        wanted: tuple[int | None, int | None] = getattr(self._wanted, "ids", (None, None))
        return wanted[1] or super().generate_span_id()


class Guarded(SpanExporter):
    """An exporter whose failure is said once, by class, and harms nothing: those spans are lost."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._said = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand spans over."""
        code = "not accepted"
        try:
            result = self._exporter.export(spans)
        except Exception as broken:  # noqa: BLE001 - whatever an exporter raises, its spans are lost and nothing else
            result, code = SpanExportResult.FAILURE, type(broken).__name__
        if result is not SpanExportResult.SUCCESS and not self._said:
            self._said = True
            log.warning("%s could not send spans (%s): the work goes on", type(self._exporter).__name__, code)
        return result

    def shutdown(self) -> None:
        """Close it."""
        self._exporter.shutdown()


class _Flusher:
    """Flushes within a bound, from a thread that is there before the process ends: then none can be started."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._asked, self._done = 0, 0
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="selo-traces", daemon=True).start()

    def flush(self, seconds: float) -> bool:
        with self._changed:
            # A collector that made somebody wait in vain, and has not answered since, makes nobody else wait.
            behind = self._done < self._asked
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._done >= mine, 0.0 if behind else seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._done < self._asked)
                asked = self._asked
            self._provider.force_flush()
            with self._changed:
                self._done = asked
                self._changed.notify_all()


def exporters_by_name() -> list[SpanExporter]:
    """Return the exporters that OTEL_TRACES_EXPORTER names, `otlp` if it names none.

    Raises LookupError for one that is not installed.
    """
    named = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    found: list[SpanExporter] = []
    for name in [one.strip().lower() for one in named.split(",") if one.strip()]:
        (entry, *_) = entry_points(group="opentelemetry_traces_exporter", name=_spelled(name)) or [None]
        if entry is None:
            raise LookupError(name)
        exporter = entry.load()
        # Standard output belongs to what a command answers.
        found.append(exporter(out=sys.stderr) if exporter is ConsoleSpanExporter else exporter())
    return found


def _spelled(name: str) -> str:
    if name != "otlp":
        return name
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "").strip()
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
    )
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
