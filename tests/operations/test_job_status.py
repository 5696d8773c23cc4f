"""What the last run of a job did is known from the ledger's own database, whatever Dagster remembers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from selo_dagster.operations.job_status import last_runs
from selo_dagster.operations.kind_status import FRUITLESS_LEAST, kind_status
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import Tally, job_runs, note_finish, note_start, noted
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW, add_person, say


def test_the_last_finished_run_is_shown_beside_what_is_under_way(store: Store) -> None:
    with store.write() as connection:
        connection.execute(
            insert(job_runs).values(
                run_id="old", job="daily", started_at=database_now(-900), finished_at=database_now(-800), total=9
            )
        )
        note_start(connection, "run-1", "daily")
        note_finish(connection, "run-1", "daily", Tally(5, 3, 1, 1))
        note_start(connection, "run-2", "daily")
    with store.read() as connection:
        (found,) = last_runs(connection)
    shown = ("total", "succeeded", "skipped", "failed", "error")
    assert [found[name] for name in shown] == [5, 3, 1, 1, None]
    assert found["running_s"] is not None
    assert found["seconds"] < 60


def test_a_run_that_ends_by_an_error_leaves_its_class_and_what_it_had_done(store: Store) -> None:
    def work() -> None:
        with noted(store, "run-1", "daily", lambda: Tally(2, 1, 0, 1)):
            raise LookupError("private words")

    with pytest.raises(LookupError):
        work()
    with store.read() as connection:
        (found,) = last_runs(connection)
    assert (found["error"], found["total"], found["failed"]) == ("LookupError", 2, 1)
    assert "private" not in str(found)


def test_a_dead_run_that_others_outlived_is_not_under_way(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(job_runs).values(run_id="dead", job="daily", started_at=database_now(-900)))
        note_start(connection, "run-2", "daily")
        note_finish(connection, "run-2", "daily", Tally())
    with store.read() as connection:
        (found,) = last_runs(connection)
    assert found["running_s"] is None


def settled(store: Store, state: str, number: int) -> None:
    for index in range(number):
        add_person(store, f"p{index:02}")
        say(store, f"p{index:02}", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        connection.execute(update(ledger).values(state=state, ready_at=None, settled_at=NOW, epoch=1))


def test_success_that_made_nothing_for_days_is_not_believed(store: Store) -> None:
    settled(store, "skipped", FRUITLESS_LEAST)
    with store.read() as connection:
        assert kind_status(connection, "daily", NOW)["fruitless"] == FRUITLESS_LEAST
        assert kind_status(connection, "daily", NOW + timedelta(days=4))["fruitless"] == 0
    with store.write() as connection:
        connection.execute(update(ledger).where(ledger.c.user_id == "p00").values(state="done"))
    with store.read() as connection:
        assert kind_status(connection, "daily", NOW)["fruitless"] == 0


def test_what_was_skipped_by_rule_is_no_silent_success(store: Store) -> None:
    settled(store, "skipped", FRUITLESS_LEAST)
    with store.write() as connection:
        connection.execute(update(ledger).values(epoch=0, reason="too_old"))
    with store.read() as connection:
        assert kind_status(connection, "daily", NOW)["fruitless"] == 0
