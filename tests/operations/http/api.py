"""The API on a database, as somebody with a token sees it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from starlette.testclient import TestClient

import selo_dagster.definitions  # every room registers its tables
from selo_dagster.clock import Clock, FixedClock
from selo_dagster.operations.http.app import create_app
from selo_dagster.operations.http.served import Served
from selo_dagster.settings import load_settings
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW

SECRET = "xyzzy-planted-4711"
"""Stands in every text that people wrote."""

FULL, READER, WRITER = "f" * 40, "r" * 40, "w" * 40
WRONG = "x" * 40
TOKENS = f"full:read+events+one_offs+sagas:{FULL}, reader:read:{READER}, writer:events:{WRITER}"

GOAL = {"title": f"Run {SECRET}", "description": SECRET, "origin": "companion:1", "steps": [SECRET]}

assert selo_dagster.definitions.defs is not None


def event(id: str = "e1", **changes: Any) -> dict[str, Any]:  # noqa: A002 - a field's name
    payload = {"emotion": SECRET, "intensity": 0.8}
    one = {"type": "event", "id": id, "user": "ana", "event": "emotional_spike", "at": "2026-11-22T21:04:00Z"}
    return {**one, "payload": payload, **changes}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def served(store: Store, clock: Clock | None = None, **environ: str) -> Served:
    given = {"SELO_API_TOKENS": TOKENS, "SELO_API_RATE": "100000/minute", **environ}
    return Served(load_settings(given), store, clock or FixedClock(NOW))


class Api:
    """Calls with the token that may do everything, unless told otherwise."""

    def __init__(self, store: Store, clock: Clock | None = None, **environ: str) -> None:
        self.store = store
        self.app = create_app(served(store, clock, **environ))
        self.client = TestClient(self.app)

    def __call__(
        self, method: str, path: str, *, token: str | None = FULL, key: str | None = None, **given: Any
    ) -> Any:
        """Return the response; every refusal is a problem document, and none holds what somebody wrote."""
        headers = {} if token is None else bearer(token)
        headers |= {} if key is None else {"Idempotency-Key": key}
        headers |= given.pop("headers", {})
        response = self.client.request(method, path, headers=headers, **given)
        assert SECRET not in response.text
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            told = response.json()
            assert {"type", "title", "status", "detail", "code", "instance"} == set(told)
            assert (told["status"], told["instance"]) == (response.status_code, path.partition("?")[0])
        return response

    def get(self, path: str, **given: Any) -> Any:
        """Return the document of a call that goes well."""
        response = self("GET", path, **given)
        assert response.status_code == 200, response.text
        return response.json()

    def code(self, method: str, path: str, **given: Any) -> tuple[int, str]:
        """Return status and code of a call that is refused."""
        response = self(method, path, **given)
        return response.status_code, response.json()["code"]

    def pages(self, path: str, name: str, limit: int) -> list[list[Any]]:
        """Return every page of a list."""
        found: list[list[Any]] = []
        cursor = ""
        while True:
            told = self.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")
            found.append(told[name])
            if told["next"] is None:
                return found
            cursor = f"&cursor={told['next']}"

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        with self.store.read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
