"""Reading over HTTP: page by page, filtered, with dates, codes and numbers, and never a word that somebody wrote."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from sqlalchemy import update

from selo_dagster.operations.alerts.keeping import keep
from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.problems import Problem
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.start import start
from selo_dagster.store.engine import Store
from tests.operations.http.api import GOAL, SECRET, Api
from tests.support.fakes import NOW, add_person, run_cohort, say

LISTS = ("sagas", "reflections", "due", "alerts")


@pytest.fixture
def api(store: Store) -> Api:
    """Ana and Ben, each with two days to reflect on, two goals that are asked for, and three alerts."""
    for user in ("ana", "ben"):
        add_person(store, user)
        for day in (21, 22):
            say(store, user, f"2026-11-{day}T10:00:00Z", SECRET)
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        for number, user in enumerate(("ana", "ben", "ana", "ben")):
            start(
                connection,
                GOAL_CREATION,
                user_id=user,
                key=f"k{number}",
                given=GOAL,
                now=NOW + timedelta(minutes=number),
                new_id=lambda number=number: f"saga-{number}",  # type: ignore[misc]
            )
        keep(connection, [Problem("dead", "1 is dead", "daily"), Problem("overdue", "late"), Problem("dead", "1", "x")])
        connection.execute(update(alerts).where(alerts.c.subject == "x").values(resolved_at=NOW, cleared_at=NOW))
    return Api(store)


def test_pages_follow_one_another_without_gaps_and_doubles(api: Api) -> None:
    for name in LISTS:
        (whole,) = api.pages(f"/api/{name}", name, 500)
        assert len(whole) == (3 if name == "alerts" else 4)
        for limit in (1, 2, 3):
            pages = api.pages(f"/api/{name}", name, limit)
            assert [one for page in pages for one in page] == whole
            assert all(len(page) == limit for page in pages[:-1])


def test_a_page_does_not_shift_when_something_new_comes(api: Api) -> None:
    first = api.get("/api/sagas?limit=2")
    with api.store.write() as connection:
        start(connection, GOAL_CREATION, user_id="ana", key="new", given=GOAL, now=NOW, new_id=lambda: "new")
    second = api.get(f"/api/sagas?limit=2&cursor={first['next']}")
    assert [one["id"] for one in first["sagas"] + second["sagas"]] == ["saga-3", "saga-2", "saga-1", "saga-0"]


def test_sagas_are_filtered_and_told_without_their_input(api: Api) -> None:
    assert [one["id"] for one in api.get("/api/sagas?user=ana")["sagas"]] == ["saga-2", "saga-0"]
    assert api.get("/api/sagas?user=nobody&type=goal_creation")["sagas"] == []
    assert api.get("/api/sagas?state=completed")["sagas"] == []
    (newest,) = api.get("/api/sagas?type=goal_creation&state=pending&limit=1")["sagas"]
    assert newest == {
        "id": "saga-3",
        "type": "goal_creation",
        "version": GOAL_CREATION.version,
        "user": "ben",
        "key": "k3",
        "state": "pending",
        "direction": "forward",
        "generation": 1,
        "reason": None,
        "error": None,
        "created_at": "2026-11-23T12:03:00Z",
        "next_attempt_at": None,
        "ended_at": None,
    }


def test_one_saga_is_shown_with_its_steps(api: Api) -> None:
    shown = api.get("/api/sagas/saga-1")
    assert [one["name"] for one in shown["steps"]] == [step.name for step in GOAL_CREATION.order]
    assert (shown["user"], shown["timeline"], len(shown["trace"])) == ("ben", [], 32)
    assert api.code("GET", "/api/sagas/saga-9") == (404, "unknown_saga_id")


def test_obligations_are_filtered_and_told_without_what_was_made(api: Api) -> None:
    (done, *_) = run_cohort(api.store)
    for filters, expected in {
        "user=ana": 2,
        "kind=daily": 4,
        "kind=weekly": 0,
        "state=done": 4,
        "state=due": 0,
        "from=2026-11-22": 2,
        "to=2026-11-21&user=ben": 1,
        "from=2026-11-21&to=2026-11-22": 4,
    }.items():
        assert len(api.get(f"/api/reflections?{filters}")["reflections"]) == expected, filters
    (told,) = api.get("/api/reflections?user=ana&from=2026-11-21&to=2026-11-21")["reflections"]
    assert (told["user"], told["on"], told["state"], told["reflection"], told["head"]) == (
        "ana",
        "2026-11-21",
        "done",
        done.reflection_id,
        1,
    )
    assert (told["model_calls"], told["input_tokens"], told["settled_at"]) == (1, 10, "2026-11-23T12:00:00Z")
    assert api.get("/api/due")["due"] == []


def test_what_is_due_is_told_latest_date_first(api: Api) -> None:
    found = [(one["on"], one["user"]) for one in api.get("/api/due?kind=daily")["due"]]
    assert found == [("2026-11-22", "ana"), ("2026-11-22", "ben"), ("2026-11-21", "ana"), ("2026-11-21", "ben")]
    assert {one["user"] for one in api.get("/api/due?user=ben")["due"]} == {"ben"}
    assert api.get("/api/due?kind=mantra")["due"] == []


def test_alerts_are_filtered_by_state_and_code(api: Api) -> None:
    assert {one["subject"] for one in api.get("/api/alerts?state=open")["alerts"]} == {"daily", ""}
    (over,) = api.get("/api/alerts?state=resolved")["alerts"]
    assert (over["code"], over["subject"], over["state"]) == ("dead", "x", "resolved")
    assert (over["resolved_at"], over["runbook"]) == ("2026-11-23T12:00:00Z", "docs/runbook.md#dead")
    assert len(api.get("/api/alerts?code=dead")["alerts"]) == 2


def test_a_wrong_question_is_refused_and_not_guessed_at(api: Api) -> None:
    wrong = ["limit=0", "limit=501", "limit=x", "usr=ana", "user=%00", "user=", "kind=dayly", "code="]
    for name in LISTS:
        for query in wrong:
            assert api.code("GET", f"/api/{name}?{query}") == (422, "invalid_request"), (name, query)
    for query in ("state=dun", "from=yesterday", "to=2026-02-30", "from=20261122"):
        assert api.code("GET", f"/api/reflections?{query}") == (422, "invalid_request"), query
    for name in ("sagas", "alerts"):
        assert api.code("GET", f"/api/{name}?state=dun") == (422, "invalid_request")


def test_a_cursor_of_another_list_or_beyond_every_number_is_refused(api: Api) -> None:
    wrong = ["[9223372036854775808]", "[-1]", "[true]", "[1.0]", "[" * 90, "[1, 2]", '["2026-11-22"]', '["x", 1]', "{}"]
    for cursor in (*(urlsafe_b64encode(text.encode()).decode().rstrip("=") for text in wrong), "!", "A", "é"):
        for name in LISTS:
            assert api.code("GET", f"/api/{name}?cursor={cursor}") == (422, "bad_cursor"), (name, cursor)


def test_answers_are_kept_by_nobody(api: Api) -> None:
    for path in ("/api/due", "/api/sagas/nothing"):
        assert api("GET", path).headers["cache-control"] == "no-store"
