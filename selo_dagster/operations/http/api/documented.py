"""The OpenAPI document: what FastAPI derives, the problem document, and the tokens."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from selo_dagster.operations.http.api.calls import BEARER
from selo_dagster.settings import Settings

PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 has it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "For programs; it does not change."},
        "instance": {"type": "string", "description": "The path that was asked for."},
    },
    "example": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no saga '3f0c'",
        "code": "unknown_saga_id",
        "instance": "/api/sagas/3f0c",
    },
}

DESCRIPTION: Final = (
    "Reading needs the scope `read` as soon as any token is set; writing always needs a token with the scope named at "
    "the call. Errors are problem documents."
)


def install(app: FastAPI, settings: Settings) -> None:
    """Let `app` describe itself."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
            components = found.setdefault("components", {})
            components.setdefault("schemas", {})["Problem"] = PROBLEM
            components["securitySchemes"] = {
                BEARER: {"type": "http", "scheme": "bearer", "description": _whose(settings)}
            }
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _whose(settings: Settings) -> str:
    said = "A token of SELO_API_TOKENS, with the scope that the call needs."
    return said if settings.tokens else f"{said} None is set here: nothing can be written."
