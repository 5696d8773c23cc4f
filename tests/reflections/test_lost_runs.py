"""A run that died: it is ended in Dagster, also when others have all that it held; what comes back stops no night."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import select, update

from selo_dagster.clock import FixedClock
from selo_dagster.reflections.claim import begin_attempts, claim, ledger, take_back_expired
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.reflections.states import DONE
from selo_dagster.reflections.work_commands import until_nothing_is_due
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import Tally, note_finish, note_start
from selo_dagster.store.types import database_now
from tests.support.dagster import NOW_TEXT, instance_of
from tests.support.fakes import NOW, add_person, run_cohort, say


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance beside three people who had a Sunday."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    for name in ("ana", "ben", "cleo"):
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)
    with instance_of(store, on_disk=True) as made:
        yield made


def holding(instance: dg.DagsterInstance, store: Store, people: int) -> str:
    """Start a run that reflects on some people, and let its lease run out; returns it."""
    run_id = instance.create_run_for_job(jobs["daily"], status=dg.DagsterRunStatus.STARTED).run_id
    with store.write() as connection:
        note_start(connection, run_id, DAILY.name)
        held = claim(connection, DAILY, run_id=run_id, now=NOW, lease_s=30, limit=people)
        begin_attempts(connection, held, run_id)
        connection.execute(update(ledger).where(ledger.c.run_id == run_id).values(lease_until=database_now(-1)))
    return run_id


def after_a_tick(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """Let the sensor look; returns the status of a run afterwards."""
    sensor = due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW))
    sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_dead_run_is_ended_although_another_run_took_over_what_it_held(
    instance: dg.DagsterInstance, store: Store
) -> None:
    dead = holding(instance, store, 2)
    assert len(run_cohort(store, run_id="other")) == 3
    assert after_a_tick(instance, dead) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_lost_some_and_works_on_others_is_left_alone(instance: dg.DagsterInstance, store: Store) -> None:
    slow = holding(instance, store, 2)
    assert len(run_cohort(store, run_id="other")) == 3
    add_person(store, "dora")
    say(store, "dora", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        assert len(claim(connection, DAILY, run_id=slow, now=NOW, lease_s=30, limit=1)) == 1
    assert after_a_tick(instance, slow) == dg.DagsterRunStatus.STARTED


def test_a_run_that_lost_some_and_has_ended_is_left_to_its_own_end(instance: dg.DagsterInstance, store: Store) -> None:
    slow = holding(instance, store, 2)
    assert len(run_cohort(store, run_id="other")) == 3
    with store.write() as connection:
        note_finish(connection, slow, DAILY.name, Tally())
    assert after_a_tick(instance, slow) == dg.DagsterRunStatus.STARTED


def test_what_a_dead_run_held_may_come_back_in_the_middle_of_a_night(
    instance: dg.DagsterInstance, store: Store
) -> None:
    dead = holding(instance, store, 2)
    with store.write() as connection:
        connection.execute(update(ledger).where(ledger.c.run_id == dead).values(lease_until=database_now(3_600)))
    night = until_nothing_is_due(store, instance, process_settings(), FixedClock(NOW), DAILY, NOW_TEXT)
    assert next(night).failure is None
    with store.write() as connection:
        connection.execute(update(ledger).where(ledger.c.run_id == dead).values(lease_until=database_now(-1)))
        # More than were ready before the run: that is no sign of a run that takes nothing.
        assert take_back_expired(connection, DAILY, NOW) == 2
    assert [ran.failure for ran in night] == [None]
    with store.read() as connection:
        assert set(connection.execute(select(ledger.c.state)).scalars()) == {DONE}
