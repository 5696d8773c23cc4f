"""Whoever looks is told what is spent, what that holds back, and of nobody by name."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.llm.budgets.tables import spending_calls, spending_days
from selo_dagster.operations.budget_status import budget_status
from selo_dagster.operations.http.metrics import families, rendered
from selo_dagster.operations.problems import budget_problems
from selo_dagster.operations.self_check import Checked
from selo_dagster.operations.status import status
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.settings import Settings, load_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW, add_person, say

CAPS = {
    "SELO_LLM_URL": "http://model.example/v1",
    "SELO_LLM_MODEL": "scripted",
    "SELO_LLM_INPUT_PRICE": "1",
    "SELO_LLM_OUTPUT_PRICE": "2",
    "SELO_BUDGET_FLEET_COST": "0.5",
    "SELO_BUDGET_KIND_TOKENS": "20000",
    "SELO_BUDGET_USER_TOKENS": "20000",
}
SETTINGS = load_settings(CAPS)


@pytest.fixture(autouse=True)
def spent(store: Store) -> None:
    """Three people are due; of the daily's 20 000 tokens, 19 000 are spent, and 500 are reserved."""
    for who in ("ana", "ben", "cleo"):
        add_person(store, who)
        say(store, who, "2026-11-22T10:00:00Z", "hello")
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        sums = {"tokens": 19_000, "cost": 25_000_000, "calls": 9, "unheard_tokens": 700}
        for scope, subject in (("fleet", ""), ("kind", "daily")):
            connection.execute(insert(spending_days).values(day=NOW.date(), scope=scope, subject=subject, **sums))
        call = {"owner": "x", "number": 1, "day": NOW.date(), "user_id": "ana", "kind": "daily", "tokens": 500}
        connection.execute(insert(spending_calls).values(**call, cost=600_000, lost_at=database_now(60)))


def problems(store: Store, settings: Settings = SETTINGS) -> list[tuple[str, str, str]]:
    with store.read() as connection:
        found = budget_status(connection, budget_of(settings), NOW)
    return [(one.code, one.subject, one.message) for one in budget_problems(found)]


def test_a_cap_that_holds_work_back_is_a_problem_that_says_until_when(store: Store) -> None:
    assert problems(store) == [
        (
            "budget_spent",
            "daily",
            (
                "daily: 3 wait until 2026-11-24T00:00:00Z: daily's budget of 20000 tokens a day has no room: "
                "19000 tokens are spent, and a call may take 1200 tokens"
            ),
        )
    ]


def test_what_was_put_off_for_its_size_names_the_cap_that_refused_it(store: Store) -> None:
    with store.write() as connection:
        tomorrow = NOW + timedelta(hours=12)
        connection.execute(update(ledger).values(state="deferred", reason="budget", ready_at=tomorrow))
        refused = {"tokens": 15_000, "refused": 1, "refused_tokens": 6_000, "refused_cost": 0}
        connection.execute(update(spending_days).where(spending_days.c.scope == "kind").values(refused))
    ((code, subject, message),) = problems(store)
    assert (code, subject) == ("budget_spent", "daily")
    assert message.endswith("15000 tokens are spent, and a call may take 6000 tokens")


def test_a_person_whose_own_budget_is_spent_needs_nobody(store: Store) -> None:
    with store.write() as connection:
        tomorrow = NOW + timedelta(hours=12)
        connection.execute(update(ledger).values(state="deferred", reason="budget", ready_at=tomorrow))
    roomy = load_settings(CAPS | {"SELO_BUDGET_KIND_TOKENS": "200000"})
    assert problems(store, roomy) == []
    with store.read() as connection:
        found = budget_status(connection, budget_of(roomy), NOW)
    assert found is not None
    assert [(one["kind"], one["number"], one["scope"]) for one in found["held_back"]] == [("daily", 3, None)]


def test_more_spent_than_allowed_is_a_problem_of_its_own(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(spending_days).values(tokens=20_001, beyond=400))
    codes = [code for code, *_ in problems(store)]
    assert codes == ["budget_spent", "budget_exceeded"]


def test_without_a_cap_nothing_is_said(store: Store) -> None:
    with store.read() as connection:
        assert budget_status(connection, None, NOW) is None
    assert budget_problems(None) == []


def test_the_status_and_the_metrics_have_the_fleet_and_the_kinds_and_nobody(store: Store) -> None:
    with store.read() as connection:
        found = status(connection, NOW, SETTINGS, Checked((), ()))
        text = rendered(families(connection, found, 0.1)).decode()
    fleet, daily = found["budgets"]["lines"]
    assert fleet["left"] == {"tokens": None, "cost": "0.4744"}
    assert daily["left"] == {"tokens": 500, "cost": None}
    assert daily["unheard"] == {"tokens": 700, "cost": "0.00"}
    for sample in (
        'selo_budget_cap{kind="daily",scope="kind",unit="tokens"} 20000.0',
        'selo_budget_cap{kind="",scope="fleet",unit="cost"} 0.5',
        'selo_budget_spent{kind="",scope="fleet",unit="cost"} 0.025',
        'selo_budget_reserved{kind="daily",scope="kind",unit="tokens"} 500.0',
        'selo_budget_held_back{kind="daily"} 3.0',
        'selo_problem{code="budget_spent"} 1.0',
    ):
        assert sample in text
    assert "ana" not in text
