"""How long sagas wait, run and go back, and what was taken over, from the rows that changed with them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from selo_dagster.sagas.shown import saga_metrics
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import saga_steps, sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.sagas.builders import LINE, Room


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


def metrics(room: Room) -> dict[str, Any]:
    """Return those of the one type that there is."""
    with room.store.read() as connection:
        (found,) = saga_metrics(connection)
    return found


def aged(room: Room, **seconds: float) -> None:
    """Let instants of every saga be so long ago."""
    with room.store.write() as connection:
        connection.execute(update(sagas).values({name: database_now(-ago) for name, ago in seconds.items()}))


def test_nothing_is_measured_of_no_sagas(room: Room) -> None:
    with room.store.read() as connection:
        assert saga_metrics(connection) == []


def test_the_wait_ends_with_the_first_claim(room: Room) -> None:
    room.start(LINE)
    assert metrics(room)["mean_wait_seconds"] is None
    room.forward(LINE)
    aged(room, asked_at=60, started_at=20)
    found = metrics(room)
    assert found["longest_wait_seconds"] == pytest.approx(40, abs=0.5)
    assert found["longest_run_seconds"] == pytest.approx(20, abs=2)
    assert (found["sagas"], found["undone"], found["oldest_unchanged_seconds"]) == (1, 0, None)


def test_the_undo_lag_runs_from_turning_round_to_the_last_step_undone(room: Room) -> None:
    room.start(LINE, fail_at={"three": "refused"})
    room.forward(LINE)
    assert metrics(room)["undone"] == 0
    room.back(LINE)
    aged(room, turned_at=30)
    with room.store.write() as connection:
        connection.execute(update(saga_steps).values(undone_at=database_now(-10)))
    found = metrics(room)
    assert found["undone"] == 1
    assert found["mean_undo_lag_seconds"] == pytest.approx(20, abs=0.5)


def test_a_completed_saga_that_is_undone_turns_then(room: Room) -> None:
    saga_id = room.start(LINE)
    room.forward(LINE)
    room.act("compensate", saga_id)
    room.back(LINE)
    assert 0 <= metrics(room)["longest_undo_lag_seconds"] < 30


def test_every_claim_that_is_taken_back_counts(room: Room) -> None:
    room.start(LINE)
    room.claim(LINE, FORWARD, "run-1")
    room.expire()
    room.claim(LINE, FORWARD, "run-2")
    room.expire()
    assert metrics(room)["takeovers"] == 2


def test_one_that_stands_still_is_measured_from_its_last_change(room: Room) -> None:
    room.start(LINE)
    aged(room, changed_at=90)
    assert metrics(room)["oldest_unchanged_seconds"] == pytest.approx(90, abs=2)
