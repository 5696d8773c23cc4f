"""A page for people: how tonight went, what waits, and what needs somebody, without a line of JavaScript."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from selo_dagster.errors import SeloError
from selo_dagster.operations.http.page.evaluations import EvaluationView, evaluation_view
from selo_dagster.operations.http.page.runbook import runbook
from selo_dagster.operations.http.page.standing import Standing, standing_alerts
from selo_dagster.operations.http.page.view import not_ready, part_rows, view
from selo_dagster.operations.http.page.words import moment, plain
from selo_dagster.operations.http.served import Served
from selo_dagster.operations.night_history import NightHistory, night_history
from selo_dagster.operations.readiness import Component, Readiness
from selo_dagster.store.schema import require_schema

REFRESH_S: Final = 30
"""Seconds after which a browser asks again: with what the answers are kept for, a fault shows within a minute."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


def routes(served: Served) -> list[BaseRoute]:
    """Return the routes of the page: `/`, its style sheet, and what it links to: the runbook, the evaluations."""

    # Functions that are no coroutines: Starlette runs them in a thread, and a slow database stops nobody else.
    def front(request: Request) -> Response:
        return _front(served, refresh="still" not in request.query_params)

    def evaluation(_: Request) -> Response:
        return _evaluation(served)

    return [
        Route("/", front, name="page"),
        Route("/evaluation", evaluation, name="evaluation"),
        Route("/page.css", _style, name="page.css"),
        Route("/runbook", _runbook, name="runbook"),
    ]


def _front(served: Served, *, refresh: bool) -> Response:
    readiness = served.ready()
    now = served.clock.now()
    refresh_s = REFRESH_S if refresh else None
    try:
        found = served.status()
        history, standing = served.cached("page", lambda: _read(served))
    except Exception as broken:  # noqa: BLE001 - whatever cannot be read, people are told which part is down
        return _down(served, readiness, broken, refresh_s)
    made = view(found, history, standing, readiness, runbook(), now)
    return _html("page.html", 200, page=made, well=made.well, refresh_s=refresh_s)


def _evaluation(served: Served) -> Response:
    try:
        made = served.cached("evaluation", lambda: _read_evaluations(served))
    except Exception as broken:  # noqa: BLE001 - as above
        return _down(served, served.ready(), broken, None)
    return _html("evaluation.html", 200, page=made, well=made.well, refresh_s=None)


def _down(served: Served, readiness: Readiness, broken: Exception, refresh_s: int | None) -> Response:
    _log.warning("the page cannot be read: %s", _code(broken))
    down = [one for one in readiness.components if not one.ok] or [_unread(broken)]
    return _html(
        "down.html",
        503,
        names=", ".join(plain(one.name) for one in down),
        alerts=not_ready(down),
        parts=part_rows(readiness.components),
        at=moment(served.clock.now()),
        well=False,
        refresh_s=refresh_s,
    )


def _read_evaluations(served: Served) -> EvaluationView:
    require_schema(served.store)
    with served.store.read() as connection:
        return evaluation_view(connection, served.settings, served.clock.now())


def _read(served: Served) -> tuple[NightHistory, tuple[Standing, ...]]:
    with served.store.read() as connection:
        return night_history(connection, served.clock.now()), standing_alerts(connection)


def _code(broken: Exception) -> str:
    return broken.code if isinstance(broken, SeloError) else type(broken).__name__


def _unread(broken: Exception) -> Component:
    """Return the part that could not be read. An error of ours says what to do; of any other only its class is told."""
    if isinstance(broken, SeloError):
        return Component("status", ok=False, reason=broken.message, what_to_do="do what it says, then look again")
    return Component("status", ok=False, reason=_code(broken), what_to_do="look at the log of `selo http`")


def _style(_: Request) -> Response:
    headers = HEADERS | {"Cache-Control": "private, max-age=86400"}
    return Response(_style_sheet(), media_type="text/css", headers=headers)


def _runbook(_: Request) -> Response:
    return _html("runbook.html", 200, sections=runbook().values(), well=True, refresh_s=None)


def _html(template: str, status: int, **shown: Any) -> Response:
    made = _templates().get_template(template).render(style=_style_digest(), **shown)
    return HTMLResponse(made, status_code=status, headers=HEADERS)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _style_sheet() -> bytes:
    return (resources.files(__name__) / "templates" / "page.css").read_bytes()


@lru_cache(maxsize=1)
def _style_digest() -> str:
    return hashlib.sha256(_style_sheet()).hexdigest()[:12]
