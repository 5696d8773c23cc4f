"""The guard in Dagster: its sensor, ticks that hold back, runs that stop claiming, and the first tick after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
import pytest

from selo_dagster.clock import FixedClock
from selo_dagster.operations.guard_sensor import resource_guard_sensor
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.schedules import schedule_of
from selo_dagster.reflections.sensors import due_requests_sensor
from selo_dagster.resources.guard import verdict_now
from selo_dagster.resources.sample import Sample
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from tests.support.command import Selo
from tests.support.dagster import instance_of
from tests.support.fakes import NOW, add_person, run_cohort, say


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Somebody is due, and the guard is switched on."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_RESOURCE_GUARD", "1")
    process_settings.cache_clear()
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T21:00:00Z", "hello")
    with instance_of(store, on_disk=True) as made:
        yield made


def sampled(instance: dg.DagsterInstance, percent: float | None, times: int = 2) -> str | None:
    """Let the sensor look at a machine this busy."""
    sensor = resource_guard_sensor(lambda _: lambda: Sample(percent, 10.0, 10.0))
    message = None
    for _ in range(times):
        message = sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).skip_message
    return message


def tick(instance: dg.DagsterInstance) -> tuple[int, str | None]:
    """Evaluate a tick of the daily's schedule; returns how many runs it asked for, and why none."""
    schedule = schedule_of(DAILY, jobs["daily"], lambda: FixedClock(NOW))
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.fromisoformat(str(NOW)))
    data = schedule.evaluate_tick(context)
    return len(data.run_requests or []), data.skip_message


def test_a_closed_guard_holds_ticks_back_and_the_first_tick_after_it_opens_runs(
    instance: dg.DagsterInstance, store: Store
) -> None:
    message = sampled(instance, 95.0)
    assert message is not None
    assert "cpu 95 %" in message
    asked, why = tick(instance)
    assert asked == 0
    assert why is not None
    assert "held back by the resource guard: cpu 95 %" in why
    sensor = due_requests_sensor(KINDS, jobs, lambda: FixedClock(NOW))
    assert not sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests
    sampled(instance, 10.0)
    assert tick(instance)[0] == 1
    with store.read() as connection:
        assert "resource_guard" in {one.name for one in heartbeats_now(connection)}


def test_could_not_tell_holds_back_too(instance: dg.DagsterInstance) -> None:
    sampled(instance, None, times=1)
    assert tick(instance)[0] == 0


def test_a_run_in_hand_stops_claiming_when_it_closes(store: Store) -> None:
    from selo_dagster.reflections.cohort import Cohort
    from selo_dagster.reflections.due import enrol
    from selo_dagster.reflections.engine_thread import settlements
    from tests.support.fakes import limits, tools

    for number in range(6):
        add_person(store, f"p{number}")
        say(store, f"p{number}", "2026-11-22T21:00:00Z", "hello")
    enrol(store, DAILY, NOW, 3)
    answers = iter([False, True, True, True, True])
    cohort = Cohort(
        DAILY, "run-1", limits(chunk=2, concurrency=2), tools(store), lambda _: None, held_back=lambda: next(answers)
    )
    done = [one for batch in settlements(cohort) for one in batch]
    assert len(done) == 2
    assert len(run_cohort(store, run_id="run-2")) == 4


def test_switched_off_it_samples_nothing(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_RESOURCE_GUARD", "0")
    process_settings.cache_clear()
    assert sampled(instance, 99.0) == "switched off: SELO_RESOURCE_GUARD=0"
    with store.read() as connection:
        assert verdict_now(connection) is None


def test_a_guard_that_blocks_for_long_is_a_problem_in_the_status(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sampled(instance, 95.0)
    selo = Selo(capsys)
    _, told = selo.json("status")
    assert told["guard"]["holds_back"] is True
    assert "guard_closed" not in {one["code"] for one in told["problems"]}
    monkeypatch.setenv("SELO_GUARD_LONG_S", "0.000001")
    process_settings.cache_clear()
    status, told = selo.json("status")
    assert status == 1
    assert "guard_closed" in {one["code"] for one in told["problems"]}
