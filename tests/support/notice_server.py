"""A companion's own server on loopback: keeps notices by their token, well or as badly as it is told."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, final
from urllib.parse import unquote


@dataclass(frozen=True)
class Received:
    """One request. token: of the notice. headers: names in lower case. client: its address."""

    method: str
    token: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: str = ""


class Exchange:
    """One request, the connection on which it is answered, and the server's work for it."""

    def __init__(self, server: NoticeServer, received: Received, handler: BaseHTTPRequestHandler) -> None:
        self._server, self.received, self._handler = server, received, handler

    def work(self) -> int:
        """Do what was asked; returns the status that says so."""
        return self._server.work(self.received)

    def answer(self, status: int) -> None:
        """Send a status and nothing else."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Length", "0")
        self._handler.end_headers()

    def hang(self) -> None:
        """Say nothing until the server is closed; the client leaves before."""
        self._server.closing.wait()
        self.cut()

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        self._server.closing.wait(seconds)

    def cut(self) -> None:
        """Reset the connection."""
        connection = self._handler.connection
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True
        connection.close()


Step = Callable[[Exchange], None]


def well(exchange: Exchange) -> None:
    """Do it and say so."""
    exchange.answer(exchange.work())


def status(code: int) -> Step:
    """Do nothing and answer with a status."""
    return lambda exchange: exchange.answer(code)


def hang(exchange: Exchange) -> None:
    """Do nothing and say nothing."""
    exchange.hang()


def work_then_hang(exchange: Exchange) -> None:
    """Do it and say nothing: a time-out after the work."""
    exchange.work()
    exchange.hang()


def work_then_drop(exchange: Exchange) -> None:
    """Do it and cut the connection: a lost answer."""
    exchange.work()
    exchange.cut()


def work_then(code: int) -> Step:
    """Do it and answer as if it had gone wrong."""

    def step(exchange: Exchange) -> None:
        exchange.work()
        exchange.answer(code)

    return step


def lose(exchange: Exchange) -> None:
    """Say that it is done, and forget it."""
    exchange.answer(exchange.work())
    exchange._server.notices.pop(exchange.received.token, None)


@final
class NoticeServer:
    """Answers each method with the next of its steps, after them with its usual one, which is `well`.

    notices: what is there, by token. told: the token of each notice that was made, as often as it was made.
    gone: tokens that were taken back; a post that comes late is refused as 410. requests: all, in order.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.notices: dict[str, dict[str, Any]] = {}
        self.told: list[str] = []
        self.gone: set[str] = set()
        self.requests: list[Received] = []
        self.closing = threading.Event()
        self._next: dict[str, deque[Step]] = defaultdict(deque)
        self._usual: dict[str, Step] = {}
        self._lock = threading.Lock()
        self._server = _Server((host, 0), self._handler_class())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="notice-server", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address for a client."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def told_and_there(self) -> list[str]:
        """What is in force: each notice that is there, as often as it was made since it was taken back last."""
        return [token for token in self.told if token in self.notices]

    def then(self, method: str, *steps: Step) -> None:
        """Answer the next requests of a method so, one step each."""
        self._next[method].extend(steps)

    def usually(self, step: Step, *methods: str) -> None:
        """Answer so from now on; without a method, each of them."""
        for method in methods or METHODS:
            self._usual[method] = step

    def asked(self, method: str) -> int:
        """Return how many requests of a method there were."""
        return sum(one.method == method for one in self.requests)

    def work(self, received: Received) -> int:
        """Keep, find or take back a notice; returns the status."""
        token = received.token
        with self._lock:
            if received.method == "POST":
                if token in self.gone:
                    return 410
                if token in self.notices:
                    return 200
                self.notices[token] = received.body
                self.told.append(token)
                return 201
            if received.method == "GET":
                return 200 if token in self.notices else 404
            self.gone.add(token)
            return 404 if self.notices.pop(token, None) is None else 204

    def close(self) -> None:
        """End every exchange that is under way, and the server."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> NoticeServer:
        """Return the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the server."""
        self.close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        method = str(handler.command)
        token = headers.get("idempotency-key", "") if method == "POST" else unquote(handler.path.rsplit("/", 1)[1])
        received = Received(method, token, headers, json.loads(raw or b"{}"), handler.client_address[0])
        with self._lock:
            self.requests.append(received)
            waiting = self._next[method]
            step = waiting.popleft() if waiting else self._usual.get(method, well)
        # The client left, as some steps make it do.
        with contextlib.suppress(OSError):
            step(Exchange(self, received, handler))

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        serve = self._serve

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                serve(self)

            def do_GET(self) -> None:
                serve(self)

            def do_DELETE(self) -> None:
                serve(self)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


METHODS: Final = ("POST", "GET", "DELETE")


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave errors of connections to the client under test."""
