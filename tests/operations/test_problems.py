"""What needs a person is said in one sentence with its subject, and nothing is said that needs nobody."""

from __future__ import annotations

import pytest

from selo_dagster.operations.problems import (
    CANARY_PEOPLE,
    SCHEDULE_SILENT_AFTER_S,
    SILENT_AFTER_S,
    counted,
    job_problems,
    missing_problems,
    saga_problems,
    silent_ones,
)
from selo_dagster.store.heartbeats import Heartbeat

IDLE = {"due_requests": False, "memory_events": False}
BUSY = {"due_requests": True, "memory_events": False}


def beats(**ages: float) -> list[Heartbeat]:
    return [Heartbeat(name, age_s, {}) for name, age_s in ages.items()]


def silent(found: list[Heartbeat], has_work: dict[str, bool]) -> list[tuple[str, str]]:
    return [(one.code, one.subject) for one in silent_ones(found, has_work)]


def test_where_nothing_ever_ticked_nobody_is_missed() -> None:
    assert silent([], BUSY) == []


def test_when_nothing_ticks_any_more_it_is_one_problem_and_not_seven() -> None:
    old = SILENT_AFTER_S + 1
    assert silent(beats(due_requests=old, memory_events=old, daily_reflections_schedule=old), BUSY) == [
        ("daemon_silent", "")
    ]


def test_a_sensor_that_is_silent_while_others_tick_is_named_only_if_there_is_work_for_it() -> None:
    found = beats(due_requests=SILENT_AFTER_S + 1, memory_events=3)
    assert silent(found, IDLE) == []
    assert silent(found, BUSY) == [("sensor_silent", "due_requests")]


def test_a_schedule_whose_ticks_fail_while_sensors_tick_is_named() -> None:
    late = beats(daily_reflections_schedule=SCHEDULE_SILENT_AFTER_S + 1, memory_events=3)
    assert silent(late, IDLE) == [("schedule_silent", "daily_reflections_schedule")]
    assert silent(beats(daily_reflections_schedule=SCHEDULE_SILENT_AFTER_S - 1, memory_events=3), IDLE) == []


def test_an_http_application_that_died_is_named_by_whoever_is_left() -> None:
    assert silent(beats(http=SILENT_AFTER_S + 1, memory_events=3), IDLE) == [("http_silent", "http")]


def run(total: int, failed: int, *, ended: bool = True) -> list[dict[str, object]]:
    return [{"job": "daily", "total": total, "failed": failed, "last_finish": "x" if ended else None}]


@pytest.mark.parametrize(
    ("jobs", "codes"),
    [
        (run(CANARY_PEOPLE, CANARY_PEOPLE), ["all_failed"]),
        (run(CANARY_PEOPLE, CANARY_PEOPLE - 1), []),
        (run(CANARY_PEOPLE - 1, CANARY_PEOPLE - 1), []),
        (run(0, 0), []),
    ],
)
def test_a_run_in_which_every_single_person_failed_is_a_canary(jobs: list[dict[str, object]], codes: list[str]) -> None:
    assert [one.code for one in job_problems(jobs)] == codes


def test_sagas_are_told_apart_by_type_and_only_where_they_need_somebody() -> None:
    found = saga_problems({("parked", "goal_creation"): 1, ("working", "goal_creation"): 5, ("late", "other"): 2}, [])
    assert [(one.code, one.subject, one.message) for one in found] == [
        ("saga_late", "other", "other: 2 sagas past the deadline, without a way back"),
        ("saga_parked", "goal_creation", "goal_creation: 1 saga parked: somebody has to decide"),
    ]


def test_what_is_switched_off_says_what_it_is() -> None:
    found = missing_problems(["table x"], ["schedule mantra_refresh_schedule", "sensor saga_runs"])
    assert [(one.code, one.subject) for one in found] == [
        ("self_check", "table x"),
        ("schedule_stopped", "mantra_refresh_schedule"),
        ("sensor_stopped", "saga_runs"),
    ]


def test_one_is_one() -> None:
    assert [counted(0, "saga"), counted(1, "saga"), counted(2, "person", "people")] == ["0 sagas", "1 saga", "2 people"]
