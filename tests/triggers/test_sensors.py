"""The sensor over the stream: few runs however much happens, and nothing of anybody's words in Dagster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import pytest
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from selo_dagster.clock import FixedClock
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.people.partitions import PARTITIONS
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.holding import Guard, held_back
from selo_dagster.reflections.pauses import pause
from selo_dagster.resources.guard import Verdict
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.reader import BATCH
from selo_dagster.triggers.sensors import EVENTS_TAG, INTERVAL_S, TRIGGER_TAG, memory_events_sensor
from tests.support.dagster import execute, instance_of, statuses
from tests.support.fakes import NOW, FakeModel, add_person
from tests.triggers.arrivals import (
    SECRET,
    after,
    counts,
    dump,
    happen,
    known,
    look,
    number_of,
    requests,
    spike,
    storm,
    strong,
)

JOB = jobs["triggered"]


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance beside Ana and Ben, whose names and ids must not get into it by this sensor."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    for user in ("ana", "ben"):
        add_person(store, user, name=f"{user} {SECRET}")
    known(store, "ana", "ben")
    look(store)
    with instance_of(store, on_disk=True) as made:
        yield made


@dataclass(frozen=True)
class Ticked:
    """What a tick gave back to Dagster. seq: where its cursor stands."""

    runs: list[dict[str, str]]
    skipped: str | None
    cursor: str

    @property
    def seq(self) -> int:
        document: dict[str, int] = json.loads(self.cursor)
        assert document["v"] == 1
        return document["seq"]


def tick(
    instance: dg.DagsterInstance,
    cursor: str | None = None,
    now: datetime = NOW,
    guard: Guard = held_back,
    budget_s: float = 20.0,
) -> Ticked:
    """Evaluate one tick; the tags of the runs are those that the sensor gave them."""
    sensor = memory_events_sensor(catalogue(), JOB, lambda: FixedClock(now), guard, budget_s)
    data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert data.cursor is not None
    runs = [
        {name: value for name, value in request.tags.items() if name.startswith("selo/")}
        for request in data.run_requests or []
    ]
    return Ticked(runs, data.skip_message, data.cursor)


def busy(_store: Store, _settings: Settings) -> Verdict:
    """Hold everything back."""
    reason = {"metric": "cpu", "percent": 95.0, "limit": 80.0}
    return Verdict("closed", (reason,), NOW, 60.0)


def test_a_strong_memory_is_one_run_that_names_its_rule_and_event(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1", text=SECRET)
    ticked = tick(instance)
    number = number_of(store, "m1")
    assert ticked.runs == [{"selo/kind": "triggered", TRIGGER_TAG: "important_memory 1", EVENTS_TAG: str(number)}]
    assert ticked.seq == number
    assert [row.state for row in requests(store)] == ["due"]


def test_a_hundred_people_are_one_run(instance: dg.DagsterInstance, store: Store) -> None:
    for number in range(100):
        add_person(store, f"p{number}")
        strong(store, f"p{number}", f"m{number}")
    ticked = tick(instance)
    assert len(requests(store)) == 100
    assert [run[TRIGGER_TAG] for run in ticked.runs] == ["important_memory 100"]
    assert len(ticked.runs[0][EVENTS_TAG].split(", ")) == 20


def test_more_people_than_a_cohort_holds_are_a_run_for_each_cohort(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_COHORT_SIZE", "4")
    process_settings.cache_clear()
    for number in range(9):
        add_person(store, f"p{number}")
        strong(store, f"p{number}", f"m{number}")
    assert len(tick(instance).runs) == 3


def test_tags_hold_rules_and_numbers_alone(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", f"{SECRET}-memory", text=SECRET)
    happen(store, "ben", f"{SECRET}-event", "emotional_spike", {"emotion": SECRET, "intensity": 0.9, "context": SECRET})
    ticked = tick(instance, now=after(seconds=10))
    later = tick(instance, ticked.cursor, now=after(seconds=20))
    said = repr((ticked, later))
    assert (SECRET in said, "ana" in said, "ben" in said) == (False, False, False)
    assert later.runs[0][TRIGGER_TAG] == "emotional_spike 1, important_memory 1"
    numbers = {str(number_of(store, f"{SECRET}-{what}")) for what in ("memory", "event")}
    assert set(later.runs[0][EVENTS_TAG].split(", ")) == numbers


def test_a_tick_without_work_says_what_it_saw(instance: dg.DagsterInstance, store: Store) -> None:
    quiet = tick(instance)
    assert (quiet.runs, quiet.skipped) == ([], "events 0, ready 0")
    spike(store, "ana", "calm", intensity=0.1)
    happen(store, "ana", "bad", "emotional_spike", {})
    seen = tick(instance, quiet.cursor)
    assert seen.runs == []
    assert seen.skipped is not None
    found = dict(part.rsplit(" ", 1) for part in seen.skipped.split(", "))
    assert (found["events"], found["no_match"], found["parked"], found["ready"]) == ("2", "1", "1", "0")


def test_a_request_that_has_to_wait_is_asked_for_when_its_time_has_come(
    instance: dg.DagsterInstance, store: Store
) -> None:
    spike(store, "ana", "e1")
    first = tick(instance)
    assert (first.runs, len(requests(store))) == ([], 1)
    assert tick(instance, first.cursor, after(seconds=9)).runs == []
    assert [run[TRIGGER_TAG] for run in tick(instance, first.cursor, after(seconds=10)).runs] == ["emotional_spike 1"]


@pytest.mark.parametrize("lost", ["not json", '{"v":2,"seq":3}', '{"v":1,"seq":-1}', '{"v":1,"seq":"3"}', "7", "[]"])
def test_a_cursor_that_cannot_be_read_goes_on_where_the_database_says(
    instance: dg.DagsterInstance, store: Store, lost: str
) -> None:
    strong(store, "ana", "m1")
    first = tick(instance)
    strong(store, "ben", "m2")
    ticked = tick(instance, lost)
    assert ticked.seq == number_of(store, "m2") == first.seq + 1
    assert [row.user_id for row in requests(store)] == ["ana", "ben"]


def test_a_cursor_that_is_set_back_doubles_nothing(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1")
    spike(store, "ben", "e1")
    first = tick(instance)
    untouched = {name: rows for name, rows in dump(store).items() if name != "heartbeats"}
    for cursor in ('{"v":1,"seq":0}', None, '{"v":1,"seq":999999}'):
        ticked = tick(instance, cursor)
        assert ticked.seq == first.seq
        assert {name: rows for name, rows in dump(store).items() if name != "heartbeats"} == untouched


def test_a_tick_stays_within_its_time_and_the_next_goes_on(instance: dg.DagsterInstance, store: Store) -> None:
    seen = tick(instance).seq
    storm(store, "ana", BATCH + 1, NOW)
    first = tick(instance, budget_s=0)
    assert first.seq == seen + BATCH
    second = tick(instance, first.cursor, budget_s=0)
    assert second.seq == seen + BATCH + 1
    assert sum(counts(store)["important_memory"].values()) == BATCH + 1


def test_each_tick_leaves_a_sign_of_life(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1")
    ticked = tick(instance)
    with store.read() as connection:
        (beat,) = [one for one in heartbeats_now(connection) if one.name == "memory_events"]
    assert beat.age_s < 60
    assert (beat.detail["events"], beat.detail["accepted"], beat.detail["ready"]) == (1, 1, 1)
    assert (beat.detail["seq"], beat.detail["drained"]) == (ticked.seq, 1)


def test_somebody_new_gets_a_partition_before_the_run(instance: dg.DagsterInstance, store: Store) -> None:
    add_person(store, "new")
    strong(store, "new", "m1")
    assert not instance.has_dynamic_partition(PARTITIONS, "new")
    tick(instance)
    assert instance.has_dynamic_partition(PARTITIONS, "new")


def test_the_resource_guard_holds_runs_back_and_loses_no_request(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1")
    held = tick(instance, guard=busy)
    assert held.runs == []
    assert held.skipped is not None
    assert "ready 1; held back by the resource guard: cpu 95 %" in held.skipped
    assert len(requests(store)) == 1
    assert len(tick(instance, held.cursor).runs) == 1


def test_a_run_that_waits_to_start_is_enough(instance: dg.DagsterInstance, store: Store) -> None:
    instance.create_run_for_job(JOB, status=dg.DagsterRunStatus.NOT_STARTED)
    strong(store, "ana", "m1")
    ticked = tick(instance)
    assert ticked.runs == []
    assert ticked.skipped is not None
    assert ticked.skipped.endswith("ready 1; 1 runs wait to start")


def test_a_run_at_work_does_not_keep_a_fresh_cause_waiting(instance: dg.DagsterInstance, store: Store) -> None:
    instance.create_run_for_job(JOB, status=dg.DagsterRunStatus.STARTED)
    strong(store, "ana", "m1")
    assert len(tick(instance).runs) == 1


def test_whoever_is_paused_after_asking_costs_no_run(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1")
    first = tick(instance)
    with store.write() as connection:
        pause(connection, kind=None, user_id="ana", because="asked us to", now=NOW)
    assert tick(instance, first.cursor).runs == []


def test_the_sensor_looks_with_every_turn_of_dagsters_loop_and_its_runs_go_before_the_nights() -> None:
    sensor = memory_events_sensor(catalogue(), JOB)
    assert sensor.minimum_interval_seconds == INTERVAL_S < MIN_INTERVAL_LOOP_TIME
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    nightly = [int(jobs[name].tags["dagster/priority"]) for name in ("daily", "weekly", "mantra", "adaptive")]
    assert int(JOB.tags["dagster/priority"]) > max(nightly)


def shown(instance: dg.DagsterInstance, key: str) -> dict[str, object]:
    """Return what the last materialisation of somebody says."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("triggered_reflection"), asset_partitions=[key]), limit=1
    ).records
    made = records[0].asset_materialization
    assert made is not None
    return {name: value.value for name, value in made.metadata.items()}


def test_a_run_shows_what_caused_each_reflection(instance: dg.DagsterInstance, store: Store) -> None:
    strong(store, "ana", "m1", importance=0.8, text=SECRET)
    strong(store, "ana", "m2", importance=0.9, text=SECRET)
    spike(store, "ben", "e1", context=SECRET)
    tick(instance)
    assert execute(JOB, instance, config={"now": after(seconds=10).isoformat()}).success
    ana, ben = shown(instance, "ana"), shown(instance, "ben")
    numbers = f"{number_of(store, 'm2')}, {number_of(store, 'm1')}"
    assert (ana["outcome"], ana["trigger"], ana["causes"], ana["cause_events"]) == (
        "done",
        "important_memory",
        2,
        numbers,
    )
    assert (ben["trigger"], ben["causes"], ben["cause_events"]) == ("emotional_spike", 1, str(number_of(store, "e1")))
    assert SECRET not in repr((ana, ben))
    assert statuses(instance, "triggered_reflection") == {"ana": "MATERIALIZED", "ben": "MATERIALIZED"}


def test_a_failure_turns_its_person_red_and_the_retry_keeps_the_cause(
    instance: dg.DagsterInstance, store: Store
) -> None:
    async def overloaded(_: CompletionRequest) -> str:
        raise ModelError("overloaded")

    strong(store, "ana", "m1")
    first = tick(instance)
    assert not execute(JOB, instance, FakeModel(overloaded)).success
    assert statuses(instance, "triggered_reflection") == {"ana": "FAILED"}
    later = after(minutes=1, seconds=1)
    assert [run[TRIGGER_TAG] for run in tick(instance, first.cursor, later).runs] == ["important_memory 1"]
    assert execute(JOB, instance, config={"now": later.isoformat()}).success
    assert (shown(instance, "ana")["outcome"], shown(instance, "ana")["trigger"]) == ("done", "important_memory")
    assert len(requests(store)) == 1
