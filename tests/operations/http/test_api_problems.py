"""Every error is a problem document: a 4xx stays a 4xx, a database that is away is a 503, and no text leaks."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from selo_dagster.store.engine import Store
from tests.operations.http.api import SECRET, Api, event
from tests.support.fakes import add_person


@pytest.fixture
def api(sqlite_url: str) -> Api:
    return Api(Store(sqlite_url))


class Broken:
    """A clock that fails with somebody's words."""

    def now(self) -> datetime:
        raise RuntimeError(SECRET)


def test_a_path_that_is_not_there_is_404(api: Api) -> None:
    assert api.code("GET", "/api/nothing") == (404, "not_found")
    assert api.code("GET", "/api/sagas/") == (404, "not_found")


def test_a_method_that_a_path_does_not_take_is_405_with_all_that_it_takes(api: Api) -> None:
    response = api("PUT", "/api/sagas")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"
    assert api("POST", "/livez").headers["allow"] == "GET, HEAD"


def test_a_problem_names_the_path_without_the_query(api: Api) -> None:
    assert api("GET", f"/api/due?user={SECRET}&wrong=1").json()["instance"] == "/api/due"


def test_what_is_wrong_is_named_by_its_place_and_never_by_its_value(api: Api) -> None:
    body = {"user": 1, "kind": f"{SECRET}", f"{SECRET} said": 2, "memories": [SECRET + "\n"]}
    told = api("POST", "/api/one-offs", json=body).json()
    assert told["detail"].split("; ") == [
        "body.user: string_type",
        "body.kind: unknown_name",
        "body.memories.0: bad_id",
        "body.…: extra_forbidden",
    ]


def test_an_error_that_nobody_foresaw_is_told_and_logged_by_its_class_only(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api(Store(sqlite_url), Broken())
    with caplog.at_level(logging.DEBUG):
        assert api.code("GET", "/api/due") == (500, "internal")
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


def test_a_database_that_is_away_is_503_and_its_address_is_nobodys_business() -> None:
    away = Api(Store("postgresql://selo:planted-password@127.0.0.1:1/selo"))
    for path in ("/api/sagas", "/api/sagas/x", "/api/reflections", "/api/due", "/api/alerts"):
        response = away("GET", path)
        assert (response.status_code, response.json()["code"]) == (503, "database_unreachable")
        assert int(response.headers["retry-after"]) > 0
        assert "127.0.0.1" not in response.text
    assert away("POST", "/api/events", json=event()).status_code == 503


def test_a_database_without_a_schema_is_503_and_says_what_to_run(tmp_path: Path) -> None:
    response = Api(Store(f"sqlite:///{tmp_path / 'empty.db'}"))("GET", "/api/sagas")
    assert (response.status_code, response.json()["code"]) == (503, "schema_behind")
    assert "selo db upgrade" in response.json()["detail"]


@pytest.mark.postgres
def test_a_lock_that_is_not_given_is_503_and_a_table_that_is_gone_500(postgres_url: str) -> None:
    store = Store(postgres_url)
    add_person(store, "ana")
    with store.write() as connection:
        connection.execute(text(f"ALTER DATABASE {store.url.database} SET lock_timeout = '50ms'"))
    impatient = Store(postgres_url)
    api = Api(impatient)
    with store.write() as connection:
        connection.execute(text("LOCK TABLE events"))
        assert api.code("POST", "/api/events", json=event()) == (503, "database_busy")
    with store.write() as connection:
        connection.execute(text("DROP TABLE alert_notices, alerts"))
    assert api.code("GET", "/api/alerts") == (500, "internal")
    impatient.close()
    store.close()
