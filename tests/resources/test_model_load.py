"""What a model server says of its load, from real servers on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from selo_dagster.resources.model_load import model_load


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[str]:
    """Serve these pages by path; everything else is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("pages", "load"),
    [
        ({"/slots": '[{"is_processing": true}, {"is_processing": false}]'}, 50.0),
        ({"/slots": '[{"state": 1}, {"state": 0}, {"state": 0}, {"state": 0}]'}, 25.0),
        ({"/metrics": 'vllm:num_requests_waiting{model_name="m"} 3.0\n'}, 100.0),
        ({"/metrics": "llamacpp:requests_deferred 0\n"}, 0.0),
        ({"/metrics": "process_cpu_seconds_total 3\n"}, None),
        ({"/slots": "not json", "/metrics": ""}, None),
        ({"/slots": "[]"}, None),
        ({}, None),
    ],
)
def test_the_load_is_what_the_server_tells(pages: dict[str, str], load: float | None) -> None:
    with serving(pages) as url:
        assert model_load(url) == load


def test_a_server_that_is_not_there_does_not_say() -> None:
    assert model_load("http://127.0.0.1:1/v1") is None
    assert model_load("file:///etc/passwd") is None
