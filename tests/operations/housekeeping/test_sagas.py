"""Of the journal only goes what nobody can need: a saga that may be undone, or started anew, is kept whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from selo_dagster.errors import SeloError
from selo_dagster.operations.housekeeping.round import keep_house
from selo_dagster.people.goals import ACTIVE, goals
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.tables import saga_steps
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.settings import load_settings, process_settings
from selo_dagster.store.engine import Store
from tests.operations.housekeeping.old import define, enter_sagas, everything, rows, saga
from tests.sagas.erasing import Erasing
from tests.sagas.minds import completed, undone
from tests.support.everything import fill
from tests.support.fakes import NOW, add_person

SETTINGS = load_settings({"SELO_SAGA_KEEP_DAYS": "30", "SELO_ATTEMPT_KEEP_DAYS": "30"})
GOAL = {"title": "Learn to swim", "description": "d", "origin": "reflection:r1", "steps": ["Find a pool"]}


@pytest.fixture
def goal(store: Store) -> Driver:
    """A goal of Ana's, made by a saga."""
    add_person(store, "ana")
    return completed(store, GOAL_CREATION, GOAL, user="ana")


def tidy(store: Store, now: datetime) -> None:
    keep_house(store, now, SETTINGS)


def payloads(store: Store) -> list[Any]:
    with store.read() as connection:
        found = connection.execute(select(saga_steps.c.output, saga_steps.c.undo)).all()
    return [one for row in found for one in row if one is not None]


def wanted(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(goals.c.title).where(goals.c.state == ACTIVE)).scalars())


def test_a_saga_can_be_undone_after_a_round_up_to_the_end_of_its_time(store: Store, goal: Driver) -> None:
    last = goal.clock.now() + timedelta(days=GOAL_CREATION.undo_days)
    before = payloads(store)
    tidy(store, last + timedelta(hours=1))
    assert payloads(store) == before != []
    goal.clock.instant = last - timedelta(minutes=1)
    undone(goal)
    assert wanted(store) == []


def test_afterwards_what_it_said_goes_and_that_it_was_done_stays(store: Store, goal: Driver) -> None:
    shape = rows(store)
    later = goal.clock.now() + timedelta(days=GOAL_CREATION.undo_days + 2)
    tidy(store, later)
    assert payloads(store) == []
    assert rows(store) == shape
    goal.clock.instant = later
    with pytest.raises(SeloError) as refused:
        goal.ask_undo()
    assert refused.value.code == "too_late"
    with store.write() as connection:
        again = start(
            connection, GOAL_CREATION, user_id="ana", key=goal.row().key, given=GOAL, now=later, new_id=random_id
        )
    assert (again.id, again.existing, rows(store)) == (goal.saga_id, True, shape)


def test_one_that_was_undone_can_be_started_anew_however_long_ago_that_was(store: Store, goal: Driver) -> None:
    undone(goal)
    goal.clock.instant = goal.clock.now() + timedelta(days=2_000)
    tidy(store, goal.clock.now())
    goal.retry()
    goal.require("completed", goal.to_the_end())
    assert wanted(store) == ["Learn to swim"]


@pytest.mark.parametrize(
    "row",
    [
        saga("s1", "compensated"),
        saga("s1", "cancelled"),
        saga("s1", "parked"),
        saga("s1", at=NOW - timedelta(days=100), kind="persona_evolution"),
        saga("s1", kind="user_erasure"),
        saga("s1", kind="of_an_unknown_type"),
    ],
    ids=["undone", "cancelled", "parked", "undone later than others", "an erasure", "unknown"],
)
def test_one_that_somebody_may_need_keeps_what_it_said(store: Store, row: dict[str, Any]) -> None:
    add_person(store, "ana")
    define(store, "goal_creation", 30)
    define(store, "persona_evolution", 3_650)
    define(store, "user_erasure", 0)
    enter_sagas(store, row)
    tidy(store, NOW)
    assert len(payloads(store)) == 2


def test_somebody_can_be_erased_after_a_round_and_it_holds(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    with store.write() as connection:
        for user in ("ana-4711", "ben"):
            fill(connection, user, "words")
    erasing = Erasing(store)
    later = NOW + timedelta(days=3_000)
    tidy(store, later)
    erasing.erase("ana-4711")
    assert erasing.prove("ana-4711").holds
    proof = {name: everything(store)[name] for name in ("sagas", "saga_steps", "erased_people")}
    tidy(store, later)
    assert {name: everything(store)[name] for name in proof} == proof
    assert erasing.prove("ana-4711").holds
