"""A webhook on loopback that takes alerts, as Apprise's json:// sends them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from typing_extensions import Self


class AlertServer:
    """Keeps what it was told; `refuse` lets it answer with a status instead."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self._refusal: int | None = None
        there = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if there._refusal is None:
                    there.taken.append(json.loads(body))
                self.send_response(there._refusal or 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        """Where it takes alerts."""
        return f"json://127.0.0.1:{self._server.server_address[1]}/alerts"

    def refuse(self, status: int | None) -> None:
        """Answer with a status from now on; None: take what comes."""
        self._refusal = status

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
