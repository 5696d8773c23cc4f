"""A collector on loopback: reads what is sent as OTLP over HTTP, well or as badly as it is told."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import Self

Manner = Literal["well", "refusing", "hanging"]


@dataclass(frozen=True)
class Seen:
    """One span as it arrived. Ids are hexadecimal; parent, error: empty where there is none; links: traces."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    error: bool
    started: int
    ended: int
    links: tuple[str, ...]
    resource: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return an attribute of this project's; None: it is not there."""
        return self.attributes.get(f"selo.{name}")


class Collector:
    """Listens from entering to leaving, and keeps every span and every byte."""

    def __init__(self, manner: Manner = "well") -> None:
        self.manner, self.bodies = manner, list[bytes]()
        self.asked, self._letting_go = threading.Event(), threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                if collector.manner == "hanging":
                    collector._letting_go.wait()
                    self.close_connection = True
                    return
                if collector.manner == "well":
                    compressed = self.headers.get("Content-Encoding") == "gzip"
                    collector.bodies.append(gzip.decompress(body) if compressed else body)
                self.send_response(200 if collector.manner == "well" else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening; whoever was kept waiting is let go."""
        self._letting_go.set()
        self._server.shutdown()
        self._server.server_close()

    def recover(self) -> None:
        """Do well from now on; whoever was kept waiting is let go without an answer."""
        self.manner = "well"
        self._letting_go.set()

    @property
    def spans(self) -> list[Seen]:
        """Every span that arrived, in the order in which they began."""
        found = []
        for body in list(self.bodies):
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                of_all = _plain(resource.resource.attributes)
                found += [_seen(one, of_all) for scope in resource.scope_spans for one in scope.spans]
        return sorted(found, key=lambda one: one.started)

    def named(self, name: str) -> list[Seen]:
        """Every span of a name."""
        return [one for one in self.spans if one.name == name]


def _seen(one: Any, resource: dict[str, Any]) -> Seen:
    return Seen(
        name=one.name,
        trace=one.trace_id.hex(),
        id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        attributes=_plain(one.attributes),
        error=one.status.code == 2,
        started=one.start_time_unix_nano,
        ended=one.end_time_unix_nano,
        links=tuple(link.trace_id.hex() for link in one.links),
        resource=resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
