"""How a call is added: its guard first, then its body within bounds, then the call itself in a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from selo_dagster.api_tokens import READ
from selo_dagster.operations.http.api.guard import Guard
from selo_dagster.operations.http.probes import NO_STORE
from selo_dagster.operations.http.problems import MEDIA_TYPE, ProblemError
from selo_dagster.operations.http.served import Served

BODY_LIMIT: Final = 1 << 20
"""Bytes of a request's body."""

PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
BEARER: Final = "bearer"

WHEN: Final = {
    400: "The body is not one JSON document.",
    401: "No right token was given.",
    403: "The token lacks the scope, or no tokens are set.",
    404: "There is nothing with that id.",
    409: "It is at odds with what is there.",
    413: "The body is longer than 1 MiB.",
    422: "Something in the request is not as it must be; the code says what.",
    429: "Too many requests; Retry-After says how many seconds to wait.",
    500: "Something went wrong here.",
    503: "The database cannot be used; Retry-After says when to ask again.",
}

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class Calls:
    """Adds calls to an application."""

    def __init__(self, app: FastAPI, served: Served, guard: Guard) -> None:
        self._app = app
        self._guard = guard
        self.served = served

    def reads(
        self, path: str, model: type[Any], *, refusals: Iterable[int] = (), exclude_unset: bool = False
    ) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator that adds a call which only reads. Its docstring is its description."""
        refused = (401, 403, 422, 429, 500, 503, *refusals)
        return self._adding("GET", path, model, 200, READ, refused, {}, exclude_unset=exclude_unset)

    def writes(
        self,
        method: str,
        path: str,
        model: type[Any],
        scope: str,
        *,
        status: int = 200,
        refusals: Iterable[int] = (),
        responses: dict[int | str, dict[str, Any]] | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator that adds a call which writes. status: of an answer that went well."""
        refused = (400, 401, 403, 413, 422, 429, 500, 503, *refusals)
        return self._adding(method, path, model, status, scope, refused, responses or {}, exclude_unset=False)

    def _adding(
        self,
        method: str,
        path: str,
        model: type[Any],
        status: int,
        scope: str,
        refused: Iterable[int],
        responses: dict[int | str, dict[str, Any]],
        *,
        exclude_unset: bool,
    ) -> Callable[[Endpoint], Endpoint]:
        answers: dict[int | str, dict[str, Any]] = {**responses, **{one: _refusal(one) for one in sorted(refused)}}
        secured = bool(self.served.settings.tokens) or scope != READ

        def add(endpoint: Endpoint) -> Endpoint:
            name = endpoint.__name__
            self._app.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                response_model=model,
                status_code=status,
                responses=answers,
                tags=[path.removeprefix("/api").split("/")[1]],
                summary=name.replace("_", " ").capitalize(),
                operation_id=name,
                response_model_exclude_unset=exclude_unset,
                route_class_override=_guarded(self._guard, scope),
                openapi_extra={"security": [{BEARER: [scope]}] if secured else []},
            )
            return endpoint

        return add


def _refusal(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"description": WHEN[status], "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
    if status in {429, 503}:
        found["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    if status == 401:
        found["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return found


def _guarded(guard: Guard, scope: str) -> type[APIRoute]:
    class Guarded(APIRoute):
        """Nothing of a request is read or looked up before its caller is let in."""

        def get_route_handler(self) -> Handle:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                request.state.caller = guard.admit(request, scope)
                response = await handle(request if scope == READ else await _whole(request))
                response.headers.update(NO_STORE)
                return response

            return guarded

    return Guarded


async def _whole(request: Request) -> Request:
    """Return the request with its body at hand. Raises ProblemError 413 as soon as it is too long."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise ProblemError(413, "too_large", f"a body may have {BODY_LIMIT} bytes")
        parts.append(part)
    body = b"".join(parts)
    told = f"{request.method}\n{request.scope['path']}\n".encode()
    request.state.digest = hashlib.sha256(told + body).hexdigest()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
