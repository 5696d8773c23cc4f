"""Between the schedules' ticks, the sensor asks for runs of what is due again and takes back what dead runs hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from sqlalchemy import update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.claim import begin_attempts, claim, ledger
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from selo_dagster.store.types import database_now
from tests.support.dagster import instance_of
from tests.support.fakes import NOW, FakeModel, add_person, run_cohort, say


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance beside two people who had a Sunday."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    for name in ("ana", "ben"):
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z")
    with instance_of(store, on_disk=True) as made:
        yield made


def tick(instance: dg.DagsterInstance, clock: FixedClock) -> tuple[list[str | None], str | None]:
    """Evaluate one tick; returns the jobs asked for and the reason for none."""
    sensor = due_requests_sensor(KINDS, jobs, lambda: clock)
    data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    return [request.job_name for request in data.run_requests or []], data.skip_message


async def overloaded(_: CompletionRequest) -> str:
    """Never answer."""
    raise ModelError("overloaded")


def test_a_tick_enrols_nobody_and_says_what_it_saw(instance: dg.DagsterInstance, store: Store) -> None:
    assert tick(instance, FixedClock(NOW)) == ([], "nothing is ready")
    with store.read() as connection:
        (heartbeat,) = heartbeats_now(connection)
    assert (heartbeat.name, heartbeat.detail) == ("due_requests", {})
    assert heartbeat.age_s < 60


def test_a_failure_is_asked_for_again_once_its_back_off_has_passed(instance: dg.DagsterInstance, store: Store) -> None:
    enrol(store, DAILY, NOW, 3)
    clock = FixedClock(NOW)
    run_cohort(store, FakeModel(overloaded), clock=clock)
    with store.write() as connection:
        connection.execute(update(ledger).values(ready_at=NOW + timedelta(seconds=30)))
    assert tick(instance, clock)[0] == []
    clock.advance(timedelta(seconds=30))
    assert tick(instance, clock)[0] == ["daily_reflections"]


def test_what_a_dead_run_holds_is_taken_back_and_asked_for(instance: dg.DagsterInstance, store: Store) -> None:
    enrol(store, DAILY, NOW, 3)
    with store.write() as connection:
        held = claim(connection, DAILY, run_id="dead", now=NOW, lease_s=30, limit=10)
        begin_attempts(connection, held, "dead")
    assert tick(instance, FixedClock(NOW))[0] == []
    with store.write() as connection:
        connection.execute(update(ledger).values(lease_until=database_now(-1)))
    assert tick(instance, FixedClock(NOW))[0] == ["daily_reflections"]


def test_a_run_that_is_under_way_is_enough(instance: dg.DagsterInstance, store: Store) -> None:
    enrol(store, DAILY, NOW, 3)
    instance.create_run_for_job(jobs["daily"], status=dg.DagsterRunStatus.STARTED)
    assert tick(instance, FixedClock(NOW))[0] == []


def test_a_run_that_only_says_it_is_under_way_keeps_nobody_waiting(instance: dg.DagsterInstance, store: Store) -> None:
    enrol(store, DAILY, NOW, 3)
    dead = instance.create_run_for_job(jobs["daily"], status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("began", dead)
    instance.report_dagster_event(_started(dead), dead.run_id)
    (record,) = instance.get_run_records()
    assert record.start_time is not None
    long_after = FixedClock(NOW + timedelta(days=3650))
    assert tick(instance, long_after)[0] == ["daily_reflections"]


def _started(run: dg.DagsterRun) -> DagsterEvent:
    """Return the event with which a run begins."""
    return DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)


def test_a_run_whose_lease_ran_out_keeps_no_place_in_the_queue(instance: dg.DagsterInstance, store: Store) -> None:
    enrol(store, DAILY, NOW, 3)
    dead = instance.create_run_for_job(jobs["daily"], status=dg.DagsterRunStatus.STARTED)
    alive = instance.create_run_for_job(jobs["weekly"], status=dg.DagsterRunStatus.STARTED)
    with store.write() as connection:
        claim(connection, DAILY, run_id=dead.run_id, now=NOW, lease_s=30, limit=10)
        connection.execute(update(ledger).values(lease_until=database_now(-1)))
    assert tick(instance, FixedClock(NOW))[0] == ["daily_reflections"]
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[dead.run_id] == dg.DagsterRunStatus.FAILURE
    assert statuses[alive.run_id] == dg.DagsterRunStatus.STARTED
