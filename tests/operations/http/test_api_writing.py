"""Writing over HTTP keeps the rules of the commands: all or nothing, once by its key, with a name and a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.memory.tables import events
from selo_dagster.reflections.tables import reflection_one_offs
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.store.engine import Store
from tests.operations.http.api import GOAL, SECRET, Api, event
from tests.support.fakes import NOW, add_person, remember

WHY = {"because": "she asked for it"}


@pytest.fixture
def api(store: Store) -> Api:
    """Ana, with a memory."""
    add_person(store, "ana")
    remember(store, "ana", "m1", "2026-11-22T10:00:00Z", SECRET)
    return Api(store)


def as_json(body: Any) -> dict[str, Any]:
    """Return a body in ASCII: the client's own form cannot hold a lone surrogate."""
    return {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def started(api: Api, **more: Any) -> str:
    response = api("POST", "/api/sagas", json={"type": "goal_creation", "user": "ana", "input": GOAL, **more})
    assert response.status_code == 201
    return str(response.json()["id"])


def refs(api: Api) -> list[str]:
    with api.store.read() as connection:
        return list(connection.execute(select(events.c.ref).where(events.c.origin == "event")).scalars())


def test_an_event_is_stored_and_the_same_again_changes_nothing(api: Api) -> None:
    first = api("POST", "/api/events", json=event())
    assert (first.status_code, first.json()) == (200, {"accepted": 1, "unchanged": 0, "outcomes": ["accepted"]})
    again = api("POST", "/api/events", json=[event(), event("e2")])
    assert again.json() == {"accepted": 1, "unchanged": 1, "outcomes": ["unchanged", "accepted"]}
    assert refs(api) == ["e1", "e2"]


def test_one_wrong_event_keeps_all_of_them_out(api: Api) -> None:
    api("POST", "/api/events", json=event("e1"))
    before = api.rows()
    wrong: list[tuple[dict[str, Any], int, str]] = [
        (event("e2", user="nobody"), 404, "unknown_user"),
        (event("e2", payload={"emotion": SECRET}), 422, "missing_field"),
        (event("e2", payload={"emotion": "\x00", "intensity": 1}), 422, "bad_payload"),
        (event("e2", payload={"emotion": "\ud800", "intensity": 1}), 422, "bad_payload"),
        (event("e2", event="memory_created"), 422, "reserved_event"),
        (event("e2", at=SECRET), 422, "bad_time"),
        (event("e2", **{SECRET: 1}), 422, "unknown_field"),
        (event("e1", at="2026-11-22T22:00:00Z"), 409, "conflict"),
        ({"type": "user", "id": "eve", "name": "Eve", "timezone": "UTC"}, 422, "bad_type"),
        ({}, 422, "bad_type"),
    ]
    for one, status, code in wrong:
        assert api.code("POST", "/api/events", **as_json([event("e0"), one])) == (status, code)
    assert api.rows() == before


def test_a_body_that_is_no_batch_of_events_is_refused(api: Api) -> None:
    bodies: list[Any] = [[], 1, "text", None, [1], [[]], [event(str(number)) for number in range(1_001)]]
    for body in bodies:
        assert api.code("POST", "/api/events", json=body) == (422, "invalid_request")
    assert refs(api) == []


def test_a_batch_may_have_a_thousand_events(api: Api) -> None:
    response = api("POST", "/api/events", json=[event(f"e{number}") for number in range(1_000)])
    assert (response.status_code, response.json()["accepted"]) == (200, 1_000)


def test_a_body_over_the_bound_is_too_large_whether_its_length_is_told_or_not(api: Api) -> None:
    body = b"[" + b" " * (1 << 20) + b"]"
    parts = iter([body[:1000], body[1000:]])
    headers = {"Content-Type": "application/json"}
    assert api.code("POST", "/api/events", content=body, headers=headers) == (413, "too_large")
    assert api.code("POST", "/api/events", content=parts, headers=headers) == (413, "too_large")


def test_what_is_not_json_is_refused(api: Api) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}"):
        refused = api("POST", "/api/sagas", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
    assert api.code("POST", "/api/sagas", content=b"")[0] == 422


def test_a_one_off_is_asked_for_and_taken_back(api: Api) -> None:
    wanted = {"user": "ana", "kind": "one_off", "in": "2h", "memories": ["m1"], "context": {"topic": SECRET}}
    response = api("POST", "/api/one-offs", json=wanted)
    assert (response.status_code, response.json()["due"]) == (201, "2026-11-23T14:00:00Z")
    one_off = response.json()["id"]
    with api.store.read() as connection:
        row = connection.execute(select(reflection_one_offs)).one()
    assert (row.id, row.kind, row.state, row.created_at) == (one_off, "one_off", "waiting", NOW)
    assert row.cause == {"rule": "asked", "memories": ["m1"], "context": {"topic": SECRET}}
    for changed in (True, False):
        told = api("DELETE", f"/api/one-offs/{one_off}").json()
        assert told == {"id": one_off, "state": "cancelled", "changed": changed}
    assert api.code("DELETE", "/api/one-offs/nothing") == (404, "unknown_one_off")


def test_a_wrong_one_off_is_refused(api: Api) -> None:
    before = api.rows()
    wrong: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"user": "nobody"}, (404, "unknown_user")),
        ({"memories": ["m2"]}, (404, "unknown_memory")),
        ({"at": "2026-11-24T00:00:00Z"}, (422, "wrong_use")),
        ({"in": None}, (422, "wrong_use")),
        ({"in": "soon"}, (422, "invalid_request")),
        ({"in": "9999d"}, (422, "bad_time")),
        ({"in": None, "at": "tomorrow"}, (422, "invalid_request")),
        ({"kind": "hourly"}, (422, "invalid_request")),
        ({"kind": "weekly", "context": {"a": 1}}, (422, "wrong_use")),
        ({"context": {"a": "\x00"}}, (422, "bad_payload")),
        ({"user": "\ud800"}, (422, "invalid_request")),
        ({"whom": SECRET}, (422, "invalid_request")),
    ]
    for changes, refused in wrong:
        given = {"user": "ana", "kind": "one_off", "in": "2h", **changes}
        wanted = {name: value for name, value in given.items() if value is not None}
        assert api.code("POST", "/api/one-offs", **as_json(wanted)) == refused, changes
    assert api.rows() == before


def test_a_saga_is_started_once_by_its_key(api: Api) -> None:
    body = {"type": "goal_creation", "user": "ana", "input": GOAL, "key": "k"}
    first = api("POST", "/api/sagas", json=body)
    saga_id = first.json()["id"]
    assert (first.status_code, first.json()) == (201, {"id": saga_id, "state": "pending", "existing": False})
    assert first.headers["location"] == f"/api/sagas/{saga_id}"
    again = api("POST", "/api/sagas", json=body)
    assert (again.status_code, again.json()) == (200, {"id": saga_id, "state": "pending", "existing": True})
    assert api.get(first.headers["location"])["key"] == "k"
    assert started(api) != started(api)


def test_a_wrong_saga_is_refused(api: Api) -> None:
    before = api.rows()
    wrong: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"user": "nobody"}, (404, "unknown_user")),
        ({"type": "goal_deletion"}, (422, "unknown_saga")),
        ({"type": "user_erasure", "input": {"key_id": "a"}}, (422, "wrong_use")),
        ({"input": {"title": SECRET}}, (422, "bad_input")),
        ({"input": {**GOAL, "title": "\ud800"}}, (422, "bad_input")),
        ({"input": [SECRET]}, (422, "invalid_request")),
        ({"key": "\n"}, (422, "bad_key")),
        ({"version": 1}, (422, "invalid_request")),
    ]
    for changes, refused in wrong:
        body = {"type": "goal_creation", "user": "ana", "input": GOAL, **changes}
        assert api.code("POST", "/api/sagas", **as_json(body)) == refused, changes
    assert api.rows() == before


def test_what_is_decided_about_a_saga_is_kept_with_who_and_why(api: Api) -> None:
    saga_id = started(api)
    for act, state, changed in (
        ("retry", "pending", False),
        ("cancel", "cancelled", True),
        ("cancel", "cancelled", False),
        ("compensate", "cancelled", False),
        ("retry", "pending", True),
    ):
        told = api("POST", f"/api/sagas/{saga_id}/{act}", json=WHY).json()
        assert told == {"id": saga_id, "state": state, "changed": changed}
    with api.store.read() as connection:
        noted = connection.execute(select(saga_interventions).order_by(saga_interventions.c.id)).all()
        assert connection.execute(select(sagas.c.generation)).scalar() == 2
    assert [(one.action, one.actor, one.because) for one in noted] == [
        ("cancel", "api:full", "she asked for it"),
        ("retry", "api:full", "she asked for it"),
    ]


def test_a_decision_needs_a_saga_and_a_reason(api: Api) -> None:
    saga_id = started(api)
    before = api.rows()
    for act in ("retry", "cancel", "compensate"):
        refuse_unreasoned(api, saga_id, act)
    assert api.rows() == before


def refuse_unreasoned(api: Api, saga_id: str, act: str) -> None:
    assert api.code("POST", f"/api/sagas/nothing/{act}", json=WHY) == (404, "unknown_saga_id")
    assert api.code("POST", f"/api/sagas/%00/{act}", json=WHY)[0] == 422
    for because in ({}, {"because": ""}, {"because": 1}):
        assert api.code("POST", f"/api/sagas/{saga_id}/{act}", json=because) == (422, "invalid_request")
    for because in ({"because": " "}, {"because": "\x00"}):
        assert api.code("POST", f"/api/sagas/{saga_id}/{act}", json=because) == (422, "wrong_use")


def test_what_has_ended_cannot_be_cancelled(api: Api) -> None:
    saga_id = started(api)
    with api.store.write() as connection:
        connection.execute(sagas.update().values(state="completed", ended_at=NOW))
    for act in ("cancel", "retry"):
        assert api.code("POST", f"/api/sagas/{saga_id}/{act}", json=WHY) == (409, "already_ended")
