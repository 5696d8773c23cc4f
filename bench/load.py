"""Requests sent at fixed times over connections that stay open, with as little of the machine as can be."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import uvloop

CONNECTIONS = 32
ANSWER_LIMIT_S = 30.0
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Answers:
    """What came back. latencies_s: from when a request was due. reasons: why an answer was 503."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def percentile_ms(self, share: float) -> float:
        """Return a latency in milliseconds."""
        return 1000 * sorted(self.latencies_s)[int(share * (len(self.latencies_s) - 1))]


class Load:
    """Sends requests from a thread of its own, whenever it is told to, whether or not earlier ones were answered."""

    def __init__(self, port: int, rate: float) -> None:
        self._port, self._rate = port, rate
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._idle: deque[_Connection] = deque()
        self._due: deque[tuple[str, float]] = deque()
        self._under_way = 0
        self._next: asyncio.TimerHandle | None = None
        self.answers = Answers()

    def __enter__(self) -> Load:  # noqa: PYI034 - typing.Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self) -> None:
        for _ in range(CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            self._idle.append(connection)

    async def _close(self) -> None:
        while self._idle:
            self._idle.popleft().close()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_LIMIT_S)

    def begin(self, paths: tuple[str, ...], answers: Answers) -> None:
        """Send requests for these paths in turn, until `end`."""
        self.answers = answers
        # Anew each time: the server gives up connections on which nothing is asked for some seconds.
        self._wait_for(self._connect())
        self._loop.call_soon_threadsafe(self._tick, self._loop.time(), itertools.cycle(paths))

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._wait_for(self._cancel())
        until = time.monotonic() + ANSWER_LIMIT_S
        while self._under_way or self._due:
            if time.monotonic() > until:
                raise SystemExit(f"{self._under_way} requests have no answer after {ANSWER_LIMIT_S:g} s")
            time.sleep(0.01)
        self._wait_for(self._close())

    def _tick(self, due: float, paths: Iterator[str]) -> None:
        self._due.append((next(paths), due))
        self._send()
        following = due + 1.0 / self._rate
        self._next = self._loop.call_at(following, self._tick, following, paths)

    async def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _send(self) -> None:
        while self._due and self._idle:
            self._under_way += 1
            self._idle.popleft().ask(*self._due.popleft())

    def answered(self, connection: _Connection, path: str, due: float, head: bytes, body: bytes) -> None:
        """Take in an answer."""
        self.answers.latencies_s.append(self._loop.time() - due)
        status = int(head.split(b" ", 2)[1])
        self.answers.statuses[f"{path} {status}"] += 1
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.answers.reasons.update(f"{one['name']}: {one['reason']}" for one in unwell(body))
        self._under_way -= 1
        self._idle.append(connection)
        self._send()


class _Connection(asyncio.Protocol):
    """One open connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._asked = ("", 0.0)
        self._parts: list[bytes] = []
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that closes a connection leaves its request without an answer, and `Load.end` says so."""

    def close(self) -> None:
        """Give it up."""
        self._transport.close()

    def ask(self, path: str, due: float) -> None:
        """Send one request."""
        self._asked = (path, due)
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Wait until an answer is whole."""
        self._parts.append(data)
        if self._missing < 0:
            data = b"".join(self._parts)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(data, 0, end)
            self._missing = end + 4 + (0 if length is None else int(length[1])) - len(data)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            head, _, body = b"".join(self._parts).partition(b"\r\n\r\n")
            self._parts, self._missing = [], -1
            self._load.answered(self, *self._asked, head, body)


def unwell(body: bytes) -> list[dict[str, Any]]:
    """Return the parts that an answer of /readyz calls not well."""
    return [one for one in json.loads(body)["components"] if not one["ok"]]
