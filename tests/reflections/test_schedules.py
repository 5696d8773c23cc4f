"""A tick asks for as many runs as there is work for, and a repeated tick for none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from selo_dagster.clock import FixedClock
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.schedules import runs_wanted, schedule_of
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.dagster import execute, instance_of
from tests.support.fakes import NOW, add_person, say


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance beside seven people who had a Sunday; a run is asked for per three of them."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_COHORT_SIZE", "3")
    process_settings.cache_clear()
    for number in range(7):
        add_person(store, f"p{number}")
        say(store, f"p{number}", "2026-11-22T10:00:00Z")
    with instance_of(store, on_disk=True) as made:
        yield made


def tick(instance: dg.DagsterInstance) -> tuple[list[str | None], str | None]:
    """Evaluate one tick at the tests' now; returns run keys and the reason for none."""
    schedule = schedule_of(DAILY, jobs["daily"], lambda: FixedClock(NOW))
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=NOW)
    data = schedule.evaluate_tick(context)
    return [request.run_key for request in data.run_requests or []], data.skip_message


def test_a_tick_asks_for_one_run_per_cohort_each_with_its_own_key(instance: dg.DagsterInstance) -> None:
    keys, _ = tick(instance)
    assert keys == [f"daily:2026-11-23T12:00:{number}" for number in range(3)]


def test_a_tick_on_a_quiet_instance_says_what_it_saw(instance: dg.DagsterInstance) -> None:
    execute(jobs["daily"], instance)
    assert tick(instance) == ([], "0 ready, 0 newly due, 0 too old, 0 runs waiting")


def test_runs_that_wait_to_start_are_not_asked_for_again(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        instance.create_run_for_job(jobs["daily"])
    keys, _ = tick(instance)
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("ready", "waiting", "wanted"), [(0, 0, 0), (1, 0, 1), (500, 0, 1), (501, 0, 2), (501, 1, 1), (10, 5, 0)]
)
def test_runs_are_the_cohorts_that_the_work_takes_less_those_waiting(ready: int, waiting: int, wanted: int) -> None:
    assert runs_wanted(ready, 500, waiting) == wanted


def test_a_tick_on_a_database_that_is_behind_names_the_command_that_mends_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    process_settings.cache_clear()
    with pytest.raises(dg.DagsterError) as caught:
        tick(instance)
    assert "selo db upgrade" in str(caught.value.__cause__)


def test_people_who_are_new_get_their_partition_with_the_tick(instance: dg.DagsterInstance, store: Store) -> None:
    add_person(store, "newcomer")
    say(store, "newcomer", NOW - timedelta(days=1))
    tick(instance)
    assert "newcomer" in instance.get_dynamic_partitions("users")
