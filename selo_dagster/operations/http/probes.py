"""/livez, /readyz, /metrics and /status: what programs ask for, some of them many times a second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from selo_dagster.errors import SeloError
from selo_dagster.operations.http.metrics import CONTENT_TYPE, families, rendered, without_database
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.readiness import Readiness

READYZ: Final = "readyz"
METRICS: Final = "metrics"
NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Page:
    """An answer, ready to be sent."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"

    @property
    def response(self) -> Response:
        """Return it as a response."""
        return Response(self.body, self.status, media_type=self.media_type, headers=NO_STORE)


def routes(served: Served) -> list[BaseRoute]:
    """Return the probes. None of them needs a token, and none of them names a person."""

    async def livez(_request: Request) -> Response:
        return Page(b'{"live":true}').response

    async def readyz(_request: Request) -> Response:
        return (await _answer(served, READYZ, lambda: ready_page(served.ready()))).response

    async def metrics(_request: Request) -> Response:
        return (await _answer(served, METRICS, lambda: metrics_page(served))).response

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


async def _answer(served: Served, name: str, compute: Callable[[], Page]) -> Page:
    def ask() -> Page:
        return served.cached(name, compute)

    return ask() if served.at_hand(name) else await run_in_threadpool(ask)


def ready_page(found: Readiness) -> Page:
    """Return the answer of /readyz: 200, or 503 with the reason of each part that is not well."""
    document: dict[str, Any] = {"ready": found.ready, "components": [one.shown for one in found.components]}
    return Page(json.dumps(document).encode(), 200 if found.ready else 503)


def metrics_page(served: Served) -> Page:
    """Return the answer of /metrics; 200 also while the database cannot be used, and then it says so."""
    began = time.monotonic()
    try:
        status = served.status()
        with served.store.read() as connection:
            told = list(families(connection, status, time.monotonic() - began))
    except (SeloError, SQLAlchemyError):
        told = without_database()
    return Page(rendered(told), 200, CONTENT_TYPE)
