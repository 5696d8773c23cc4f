"""A request that is sent again under its key is done once, also when it is sent twice at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from selo_dagster.operations.http.tables import idempotency_keys
from selo_dagster.reflections.tables import reflection_one_offs
from selo_dagster.store.engine import Store
from tests.operations.http.api import FULL, GOAL, SECRET, WRITER, Api, event
from tests.support.fakes import add_person
from tests.support.locks import waiting_for_a_lock

ONE_OFF = {"user": "ana", "kind": "one_off", "in": "2h"}
REPLAYED = "idempotency-replayed"


@pytest.fixture
def api(store: Store) -> Api:
    """Ana's."""
    add_person(store, "ana")
    return Api(store)


@pytest.fixture
def postgres_api(postgres_url: str) -> Iterator[Api]:
    """PostgreSQL only: many connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=10)
    add_person(opened, "ana")
    yield Api(opened)
    opened.close()


def one_offs(api: Api) -> int:
    with api.store.read() as connection:
        return connection.execute(select(func.count()).select_from(reflection_one_offs)).scalar_one()


def test_the_same_key_and_request_is_answered_as_it_was(api: Api) -> None:
    for path, body, status in (
        ("/api/one-offs", ONE_OFF, 201),
        ("/api/events", event(), 200),
        ("/api/sagas", {"type": "goal_creation", "user": "ana", "input": GOAL}, 201),
    ):
        first = api("POST", path, json=body, key=path)
        assert (first.status_code, REPLAYED in first.headers) == (status, False)
        rows = api.rows()
        again = api("POST", path, json=body, key=path)
        assert (again.status_code, again.json(), again.headers[REPLAYED]) == (status, first.json(), "true")
        assert again.headers.get("location") == first.headers.get("location")
        assert api.rows() == rows


def test_a_delete_is_answered_as_it_was_too(api: Api) -> None:
    made = api("POST", "/api/one-offs", json=ONE_OFF).json()["id"]
    told = [api("DELETE", f"/api/one-offs/{made}", key="k") for _ in range(2)]
    assert [one.json()["changed"] for one in told] == [True, True]
    assert [one.headers.get(REPLAYED) for one in told] == [None, "true"]


def test_a_key_with_another_request_is_refused(api: Api) -> None:
    api("POST", "/api/one-offs", json=ONE_OFF, key="k")
    before = api.rows()
    reused = (422, "idempotency_key_reused")
    assert api.code("POST", "/api/one-offs", json=ONE_OFF | {"in": "3h"}, key="k") == reused
    assert api.code("POST", "/api/events", json=event(), key="k") == reused
    assert api.rows() == before


def test_keys_of_another_token_are_other_keys(api: Api) -> None:
    api("POST", "/api/one-offs", json=ONE_OFF, key="k")
    assert REPLAYED not in api("POST", "/api/events", json=event(), key="k", token=WRITER).headers


def test_what_was_refused_keeps_no_key_and_can_be_sent_again(api: Api) -> None:
    wanted = ONE_OFF | {"user": "ben"}
    assert api.code("POST", "/api/one-offs", json=wanted, key="k") == (404, "unknown_user")
    add_person(api.store, "ben")
    assert api("POST", "/api/one-offs", json=wanted, key="k").status_code == 201
    assert one_offs(api) == 1


def test_a_key_of_another_form_is_refused(api: Api) -> None:
    for key in (b"", b"x" * 201, "\u00e9".encode("latin-1")):
        headers = [(b"authorization", f"Bearer {FULL}".encode()), (b"idempotency-key", key)]
        response = api.client.post("/api/one-offs", json=ONE_OFF, headers=headers)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert one_offs(api) == 0


def test_what_is_kept_beside_a_key_holds_no_word_of_anybody(api: Api) -> None:
    api("POST", "/api/events", json=event(), key="k1")
    api("POST", "/api/one-offs", json=ONE_OFF | {"context": {"topic": SECRET}}, key="k2")
    with api.store.read() as connection:
        rows = connection.execute(select(idempotency_keys)).all()
    assert [row.status for row in rows] == [200, 201]
    assert SECRET not in repr(rows)


@pytest.mark.postgres
def test_of_many_at_once_one_is_done_and_the_others_are_told_of_it(postgres_api: Api) -> None:
    together = threading.Barrier(8, timeout=30)
    told: list[Any] = []

    def send() -> None:
        together.wait()
        told.append(postgres_api("POST", "/api/one-offs", json=ONE_OFF, key="k"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one.status_code for one in told] == [201] * 8
    assert len({one.json()["id"] for one in told}) == 1
    assert sorted(one.headers.get(REPLAYED, "") for one in told) == ["", *["true"] * 7]
    assert one_offs(postgres_api) == 1


@pytest.mark.postgres
def test_of_two_at_once_the_second_waits_and_does_it_when_the_first_is_undone(postgres_api: Api) -> None:
    """The first holds the key in a transaction that has not ended: the second neither fails nor answers early."""
    told: list[Any] = []
    key = {"caller": "full", "key": "k", "request": "0" * 64, "status": 0, "answer": {}}
    second = threading.Thread(target=lambda: told.append(postgres_api("POST", "/api/one-offs", json=ONE_OFF, key="k")))
    with postgres_api.store.engine.connect() as first, first.begin() as transaction:
        first.execute(idempotency_keys.insert().values(key))
        second.start()
        while second.is_alive() and not waiting_for_a_lock(postgres_api.store):
            second.join(0.01)
        assert told == []
        transaction.rollback()
    second.join()
    assert (told[0].status_code, told[0].headers.get(REPLAYED)) == (201, None)
