"""Errors as problem documents (RFC 9457): a code, a sentence, and nothing of what was sent or stored."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selo_dagster.errors import SeloError
from selo_dagster.memory.faults import RefusedError
from selo_dagster.operations.http.probes import NO_STORE
from selo_dagster.operations.http.served import Served
from selo_dagster.store.schema import require_schema

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("unknown_user", "unknown_memory", "unknown_one_off", "unknown_saga_id"), 404),
    **dict.fromkeys(
        (
            "already_begun",
            "already_ended",
            "changed_definition",
            "conflict",
            "definition_gone",
            "duplicate",
            "erased",
            "past_pivot",
            "refused",
            "too_late",
        ),
        409,
    ),
    **dict.fromkeys(
        ("database_busy", "database_unreachable", "erasure_key", "foreign_database", "schema_behind", "schema_unknown"),
        503,
    ),
}
"""Status of each code of a SeloError; whatever is not named is the caller's wrong use: 422."""

WRONG_USE: Final = 422

RETRY_AFTER_S: Final[Mapping[str, int]] = {"database_busy": 1, "database_unreachable": 5}
RETRY_AFTER_MENDED_S: Final = 60
"""Where somebody has to do something first."""

AWAY: Final = "the database cannot be used at the moment"
BUSY: Final = "the database had to give way to somebody else: ask again"

_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", re.ASCII)
_SHOWN: Final = 5

_log = logging.getLogger(__name__)


class ProblemError(Exception):
    """A refusal that is made at the door, with its status."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


def problem(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a problem document as a response."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": quote(request.url.path, safe="/%:@!$&'()*+,;=~-._"),
    }
    return JSONResponse(document, status, headers=NO_STORE | dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI, served: Served) -> None:
    """Let every error of `app` become a problem document."""

    # Functions that are no coroutines: they run in a thread, since some of them ask the database.
    def refused(request: Request, error: Any) -> JSONResponse:
        return problem(request, error.status, error.code, error.detail, error.headers)

    def mendable(request: Request, error: Any) -> JSONResponse:
        return _of_ours(request, error)

    def of_http(request: Request, error: Any) -> JSONResponse:
        return _of_http(app, request, error)

    def of_database(request: Request, error: Any) -> JSONResponse:
        return _of_database(served, request, error)

    app.add_exception_handler(ProblemError, refused)
    app.add_exception_handler(SeloError, mendable)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SQLAlchemyError, of_database)
    app.add_middleware(_Unforeseen)


def _of_ours(request: Request, error: SeloError) -> JSONResponse:
    status = STATUS.get(error.code, WRONG_USE)
    if status < 500:
        return problem(request, status, error.code, error.message)
    _log.warning("an answer was not possible: %s", error.code)
    # The sentence may name the database's address and account.
    detail = AWAY if error.code in {"database_unreachable", "foreign_database"} else error.message
    seconds = RETRY_AFTER_S.get(error.code, RETRY_AFTER_MENDED_S)
    return problem(request, status, error.code, detail, {"Retry-After": str(seconds)})


def _of_database(served: Served, request: Request, error: SQLAlchemyError) -> JSONResponse:
    """Say why a statement failed: the database is away, its schema is another, or somebody else was in the way."""
    try:
        require_schema(served.store)
    except SeloError as found:
        return _of_ours(request, found)
    except SQLAlchemyError:
        return _of_ours(request, SeloError("database_unreachable", AWAY))
    if isinstance(error, DBAPIError) and type(error).__name__ not in {"OperationalError", "InterfaceError"}:
        return _unforeseen(request, error)
    return _of_ours(request, SeloError("database_busy", BUSY))


def _of_http(app: FastAPI, request: Request, error: HTTPException) -> JSONResponse:
    code = _CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(app, request))
    return problem(request, error.status_code, code, str(error.detail), headers)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """Return every method that the path takes: each route knows only its own."""
    found: set[str] = set()
    for route in app.routes:
        if route.matches(dict(request.scope))[0] is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return sorted(found)


def _invalid(request: Request, error: Any) -> JSONResponse:
    faults = error.errors()
    if any(one["type"] == "json_invalid" for one in faults):
        return problem(request, 400, "bad_json", "the body is not one JSON document")
    told = "; ".join(dict.fromkeys(_fault(one) for one in faults[:_SHOWN]))
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return problem(request, WRONG_USE, "invalid_request", told + more)


def _fault(error: Mapping[str, Any]) -> str:
    """Name where and what, never a value: the caller's own names of fields are shown only where they are plain."""
    cause = error.get("ctx", {}).get("error")
    what = cause.code if isinstance(cause, RefusedError) else error["type"]
    return f"{'.'.join(_shown(error['loc']))}: {what}"


def _shown(where: Iterable[str | int]) -> Iterable[str]:
    for part in where:
        yield str(part) if isinstance(part, int) or _PLAIN.fullmatch(part) else "…"


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    # Of the error only its class: its text may hold what people wrote.
    _log.error("a request failed: %s", type(error).__name__)
    return problem(request, 500, "internal", "something went wrong here; the log says which kind of error it was")


class _Unforeseen:
    """Answers what nothing else has answered for, and keeps the error's text out of the server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the outermost door: nothing passes it
            if scope["type"] != "http" or began:
                raise SeloError("internal", f"an answer broke off: {type(error).__name__}") from None
            await _unforeseen(Request(scope), error)(scope, receive, send)
