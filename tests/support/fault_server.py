"""A real HTTP server on loopback that speaks chat completions, well or as badly as it is told.

As a program: `python -m tests.support.fault_server --port 0 --scenario flaky` prints its address.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Final, final

MODEL: Final = "scripted"
ENDLESS_PIECE: Final = b" " * 1024
ENDLESS_PAUSE_S: Final = 0.005
LONGEST_QUOTE: Final = 200


@dataclass(frozen=True)
class Received:
    """One request. number: counted from 0. headers: names in lower case. body: its JSON document. client: whose."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: str = ""

    @property
    def prompt(self) -> str:
        """The text of all messages."""
        return "\n".join(str(one.get("content", "")) for one in self.body.get("messages", []))

    @property
    def format(self) -> str:
        """The kind of response_format asked for; "text" without one."""
        return str((self.body.get("response_format") or {}).get("type", "text"))


class Exchange:
    """One request and the connection on which it is answered."""

    def __init__(self, received: Received, handler: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        self.received = received
        self._handler = handler
        self._closing = closing

    @property
    def open(self) -> bool:
        """Whether the server still runs."""
        return not self._closing.is_set()

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        self._closing.wait(seconds)

    def reply(self, status: int, body: bytes, *, headers: dict[str, str] | None = None) -> None:
        """Send a whole response."""
        self.head(status, len(body), headers=headers)
        self.send(body)

    def head(self, status: int, length: int | None, *, headers: dict[str, str] | None = None) -> None:
        """Send status and headers; without a length, the body ends with the connection."""
        handler = self._handler
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            handler.send_header(name, value)
        if length is None:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        else:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def send(self, body: bytes) -> None:
        """Send a part of the body."""
        self._handler.wfile.write(body)
        self._handler.wfile.flush()

    def cut(self) -> None:
        """Reset the connection."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True
        self._handler.wfile = _Nowhere()  # type: ignore[assignment]
        connection.close()


class _Nowhere:
    closed = True

    def flush(self) -> None:
        """Nothing is left to send."""

    def close(self) -> None:
        """Nothing is open."""


Step = Callable[[Exchange], None]
Answering = Callable[[Received], str]
Script = Callable[[Received], Step]


@final
class FaultServer:
    """Answers request n with step n of a list (well, after its end), or with what a callable chooses.

    requests: all received so far. peak: most of them under way at once.
    """

    def __init__(self, script: Sequence[Step] | Script = (), *, port: int = 0, host: str = "127.0.0.1") -> None:
        self.requests: list[Received] = []
        self.peak = 0
        self._script = script
        self._under_way = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server((host, port), self._handler_class())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fault-server", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address for a client."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def close(self) -> None:
        """End every exchange that is under way, and the server."""
        self._closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FaultServer:
        """Return the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the server."""
        self.close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            received = Received(
                len(self.requests), handler.path, headers, json.loads(body or b"{}"), handler.client_address[0]
            )
            self.requests.append(received)
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            self._step_for(received)(Exchange(received, handler, self._closing))
        except OSError:
            # The client left, as some steps make it do.
            handler.close_connection = True
        finally:
            with self._lock:
                self._under_way -= 1

    def _step_for(self, received: Received) -> Step:
        if callable(self._script):
            return self._script(received)
        return self._script[received.number] if received.number < len(self._script) else ok()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        serve = self._serve

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                serve(self)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave errors of connections to the client under test."""

    def hang_up(self) -> None:
        """End every connection, so that no thread waits for another request on it."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def aliases_of(received: Received) -> list[str]:
    """Return the aliases that may be cited, from the schema or, without one, from the lines of the prompt."""
    schema = (received.body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    try:
        cited = schema["properties"]["insights"]["items"]["properties"]["evidence"]["items"]
        return list(cited["properties"]["source"]["enum"])
    except KeyError:
        return re.findall(r"^(m\d+) \| ", received.prompt, re.MULTILINE)


def cited(received: Received, *aliases: str) -> list[dict[str, str]]:
    """Return citations of sources, each with the beginning of its text, as a prompt shows it, as a quote."""
    texts = dict(re.findall(r"^(m\d+) \| .*? \| .*? \| (.*)$", received.prompt, re.MULTILINE))
    return [{"source": one, "quote": _beginning(texts.get(one, ""))} for one in aliases]


def _beginning(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE].rsplit(" ", 1)[0]


def good_document(received: Received, **changes: Any) -> dict[str, Any]:
    """Return an answer that fits the request: within its words, different for each prompt, citing the first alias."""
    bounds = re.search(r"(\d+) to (\d+) words", received.prompt)
    low, high = (int(bounds[1]), int(bounds[2])) if bounds else (70, 200)
    question = str(received.body["messages"][1]["content"]) if len(received.body.get("messages", [])) > 1 else ""
    stem = sha256(re.sub(r"<<<.*?>>>", "", question).encode()).hexdigest()[:8]
    first = (aliases_of(received) or ["m1"])[:1]
    return {
        "content": " ".join(f"thought{stem}{number}" for number in range((low + high) // 2)),
        "themes": ["the day"],
        "insights": [{"text": "They said something.", "evidence": cited(received, *first)}],
        "actions": ["Ask again."],
        "emotional_state": {"primary": "calm", "intensity": 0.3, "secondary": []},
        "trait_changes": [],
    } | changes


def good(received: Received) -> str:
    """Return a good answer as text."""
    return json.dumps(good_document(received))


def completion(text: object, *, finish_reason: str = "stop", usage: bool = True, counted: Any = 100) -> bytes:
    """Return the body of a chat completion that holds `text`. counted: tokens that it says it has read."""
    document: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}},
        ],
    }
    if usage:
        document["usage"] = {"prompt_tokens": counted, "completion_tokens": 50, "total_tokens": 150}
    return json.dumps(document).encode()


def ok(answer: str | Answering = good, *, finish_reason: str = "stop", usage: bool = True, counted: Any = 100) -> Step:
    """Answer with a text, or with what a callable makes of the request."""

    def step(exchange: Exchange) -> None:
        text = answer if isinstance(answer, str) else answer(exchange.received)
        exchange.reply(200, completion(text, finish_reason=finish_reason, usage=usage, counted=counted))

    return step


def status(
    code: int,
    message: str = "scripted",
    *,
    retry_after: float | str | None = None,
    headers: dict[str, str] | None = None,
    **fields: str,
) -> Step:
    """Refuse with a status. retry_after: seconds or an HTTP date. fields: more of the error, such as `param`."""
    body = json.dumps({"error": {"message": message, "type": "scripted_error", **fields}}).encode()
    sent = dict(headers or {}) | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    return lambda exchange: exchange.reply(code, body, headers=sent)


def garbage() -> Step:
    """Answer 200 with bytes that mean nothing."""
    return lambda exchange: exchange.reply(200, b"\x00\xff\xfe{{{" * 9)


def no_http() -> Step:
    """Answer with bytes that are not even HTTP."""

    def step(exchange: Exchange) -> None:
        exchange.send(b"\x00\xff 42 what?\r\n\r\n")
        exchange.cut()

    return step


def wrong_shape(document: object = None) -> Step:
    """Answer 200 with JSON that is no chat completion."""
    return lambda exchange: exchange.reply(200, json.dumps(document or {"choices": "none"}).encode())


def cut_after_headers() -> Step:
    """Promise a body and reset the connection."""

    def step(exchange: Exchange) -> None:
        exchange.head(200, 500)
        exchange.cut()

    return step


def cut_mid_body() -> Step:
    """Send half of a good answer and reset the connection."""

    def step(exchange: Exchange) -> None:
        body = completion(good(exchange.received))
        exchange.head(200, len(body))
        exchange.send(body[: len(body) // 2])
        exchange.cut()

    return step


def slow(seconds: float, then: Step | None = None) -> Step:
    """Wait before the answer; a server that is closed meanwhile gives none."""

    def step(exchange: Exchange) -> None:
        exchange.wait(seconds)
        (then or ok() if exchange.open else Exchange.cut)(exchange)

    return step


def unknown_alias() -> Step:
    """Cite a source that was never shown."""
    insights = [{"text": "They said something.", "evidence": [{"source": "m999", "quote": "They said something."}]}]
    return ok(lambda received: json.dumps(good_document(received, insights=insights)))


def endless() -> Step:
    """Send white space until the client leaves or the server is closed."""

    def step(exchange: Exchange) -> None:
        exchange.head(200, None)
        while exchange.open:
            exchange.send(ENDLESS_PIECE)
            exchange.wait(ENDLESS_PAUSE_S)

    return step


def ignores_response_format() -> Step:
    """Answer well inside some prose, whatever was asked for."""
    return ok(lambda received: f"Sure! Here you are:\n```json\n{good(received)}\n```\nAnything else?")


def refusing(*formats: str, code: int = 400) -> Script:
    """Refuse these kinds of response_format ("json_schema", "json_object"); answer everything else well."""

    def choose(received: Received) -> Step:
        return status(code, "response_format is not supported") if received.format in formats else ok()

    return choose


def flaky(seed: int = 7) -> Script:
    """Fail now and then: 30 % 429, 5 % garbage, 2 % a cut connection."""
    random, lock = Random(seed), threading.Lock()

    def choose(_: Received) -> Step:
        with lock:
            drawn = random.random()
        if drawn < 0.30:
            return status(429, retry_after=0)
        if drawn < 0.35:
            return garbage()
        return cut_mid_body() if drawn < 0.37 else ok()

    return choose


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scenario", choices=["ok", "flaky"], default="ok")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    with FaultServer(flaky(arguments.seed) if arguments.scenario == "flaky" else (), port=arguments.port) as server:
        print(server.url, flush=True)  # noqa: T201 - the address is what this program is asked for
        stop.wait()


if __name__ == "__main__":
    main()
