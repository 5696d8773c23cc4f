"""Whatever the OpenAPI document allows, and much that it does not, is answered: never with a 5xx, never with a leak."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.openapi import from_asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from selo_dagster.home import prepare_home
from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.http.api.one_offs import ONE_OFF_ID
from selo_dagster.operations.http.api.sagas import SAGA_ID
from selo_dagster.operations.problems import Problem
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.one_offs import schedule
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.start import start
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.operations.http.api import FULL, GOAL, SECRET, WRONG, Api, bearer
from tests.support.fakes import NOW, add_person, remember, say

AT_LENGTH = os.environ.get("SELO_TEST_SCALE") == "full"
EXAMPLES = 300 if AT_LENGTH else 5

CALLS = {
    "DELETE /api/one-offs/{one_off_id}",
    "GET /api/alerts",
    "GET /api/due",
    "GET /api/reflections",
    "GET /api/sagas",
    "GET /api/sagas/{saga_id}",
    "GET /status",
    "POST /api/events",
    "POST /api/one-offs",
    "POST /api/sagas",
    "POST /api/sagas/{saga_id}/cancel",
    "POST /api/sagas/{saga_id}/compensate",
    "POST /api/sagas/{saga_id}/retry",
}

pytestmark = pytest.mark.timeout(1_800 if AT_LENGTH else 120)

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
]

BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def populated(store: Store) -> Api:
    """An API over a database with something of everything, under the ids that the document gives as examples."""
    prepare_home(process_settings())
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z", SECRET)
    remember(store, "ana", "m1", "2026-11-22T10:00:00Z", SECRET)
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        start(connection, GOAL_CREATION, user_id="ana", key="k", given=GOAL, now=NOW, new_id=lambda: SAGA_ID)
        schedule(connection, user_id="ana", kind="one_off", due_at=NOW, now=NOW, new_id=lambda: ONE_OFF_ID)
        keep(connection, [Problem("dead", "daily: 1 obligations are dead", "daily")])
    return Api(store)


@pytest.fixture
def api(store: Store) -> Api:
    return populated(store)


@pytest.fixture
def sqlite_api(sqlite_url: str) -> Iterator[Api]:
    store = Store(sqlite_url)
    yield populated(store)
    store.close()


class FromEverywhere:
    """Each request comes from another address, so that none is answered with "too many" instead of "who are you"."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["client"] = (f"2001:db8::{next(self._numbers):x}", 50_000)
        await self._app(scope, receive, send)


def explore(api: Api, check: Callable[[Case[Any]], None], *modes: HypothesisTestMode) -> set[str]:
    """Make cases of every call that the document names, good and bad ones, always the same; returns the calls."""
    schema = from_asgi("/openapi.json", FromEverywhere(api.app))
    config = HypothesisTestConfig(schema.config, list(modes), settings=BOUNDED, explicit_settings=BOUNDED)
    called = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        create_test(operation=operation, test_func=check, config=config)()
        called.add(operation.label)
    return called


def test_with_a_right_token_every_answer_is_as_documented(api: Api) -> None:
    seen: Counter[int] = Counter()

    def check(case: Case[Any]) -> None:
        response = case.call(headers=bearer(FULL))
        case.validate_response(response, checks=CHECKS)
        assert SECRET not in response.text
        seen[response.status_code] += 1

    assert explore(api, check, *HypothesisTestMode) == CALLS
    # It came through the door, and was let in and refused for each kind of reason.
    assert {200, 201, 404, 405, 422} <= set(seen)


@pytest.mark.parametrize("headers", [{}, bearer(WRONG)], ids=["no-token", "wrong-token"])
def test_without_a_right_token_nothing_is_written_and_nothing_told(sqlite_api: Api, headers: dict[str, str]) -> None:
    before = sqlite_api.rows()
    modes = tuple(HypothesisTestMode) if AT_LENGTH else (HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING)
    seen: Counter[int] = Counter()

    def check(case: Case[Any]) -> None:
        response = case.call(headers=dict(headers))
        assert SECRET not in response.text
        seen[response.status_code] += 1

    assert explore(sqlite_api, check, *modes) == CALLS
    assert set(seen) <= {401, 404, 405}
    assert seen[401] > len(CALLS)
    assert sqlite_api.rows() == before


def test_no_page_shows_the_document_with_somebody_elses_scripts(sqlite_api: Api) -> None:
    for path in ("/docs", "/redoc"):
        assert sqlite_api.code("GET", path) == (404, "not_found")
