"""saga_runs asks for what is to be done and frees what ended runs hold; saga_monitor tells who does not get on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import select, text, update

from selo_dagster.clock import FixedClock, SystemClock
from selo_dagster.people.goals import ACTIVE, goals
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.claim import claim
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.sensors import saga_monitor_sensor, saga_runs_sensor
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import saga_alerts, saga_interventions, sagas
from selo_dagster.sagas.undo import undo_step
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import heartbeats_now
from selo_dagster.store.types import database_now
from tests.sagas.dagster_sagas import KEEPSAKE, LETTER, How
from tests.sagas.in_dagster import JOBS, again, begin, count, saga_row, state, states, steps, tags, with_sagas, work
from tests.test_private_boundary import SECRET, leaks_in

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the settings name too, since ticks open their own."""
    with with_sagas(store_url, monkeypatch):
        yield store


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance on disk, as ticks need it."""
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as made:
        yield made


@dataclass(frozen=True)
class Ticked:
    """What a tick gave back to Dagster. asked: job and direction of each run."""

    asked: list[tuple[str, str]]
    skipped: str | None
    requests: list[dg.RunRequest]


def tick(instance: dg.DagsterInstance) -> Ticked:
    """Evaluate one tick of saga_runs."""
    known = registry()
    jobs = {key: JOBS[key] for key in known.by_version if key in JOBS}
    only = type(known)({key: saga for key, saga in known.by_version.items() if key in jobs})
    data = saga_runs_sensor(only, jobs).evaluate_tick(dg.build_sensor_context(instance=instance))
    requests = list(data.run_requests or [])
    asked = [(str(one.job_name), str(one.run_config["ops"]["claim"]["config"]["direction"])) for one in requests]
    return Ticked(asked, data.skip_message, requests)


def take(store: Store, run_id: str, saga: Saga = KEEPSAKE, direction: str = FORWARD, **chosen: Any) -> list[str]:
    """Claim sagas for a run; returns their ids."""
    with store.write() as connection:
        found = claim(
            connection,
            saga,
            direction,
            run_id=run_id,
            now=SystemClock().now(),
            lease_s=60,
            limit=chosen.pop("limit", 100),
            **chosen,
        )
    return [saga_id for saga_id, _ in found]


def tools(store: Store) -> Tools:
    """Return what the engine is given."""
    return Tools(store, SystemClock(), Random(1))


def carry(store: Store, run_id: str, saga: Saga, *names: str) -> None:
    """Carry out some steps of what a run holds, as its ops would."""
    for name in names:
        with store.read() as connection:
            held = connection.execute(select(sagas.c.id, sagas.c.epoch).where(sagas.c.run_id == run_id)).all()
        tokens = [(row.id, row.epoch) for row in held]
        assert forward_step(tools(store), saga, saga.step(name), tokens, run_id).through


def run_in(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **given: Any) -> str:
    """Make a run of the keepsakes' job that has a status; returns its id."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("selo_dagster"), "__repository__")
    made = instance.create_run_for_job(
        JOBS["keepsake", 1],
        status=status,
        # Dagster asks where a run in the queue comes from.
        remote_job_origin=RemoteJobOrigin(repository, "saga_keepsake"),
        **given,
    )
    return made.run_id


def turned(store: Store, saga_id: str) -> None:
    """Let a saga go back."""
    with store.write() as connection:
        Desk(connection, SystemClock().now(), lambda *_: KEEPSAKE, "a test", "to see").compensate(saga_id)


# What is asked for.


def test_nothing_to_do_is_said(instance: dg.DagsterInstance, store: Store) -> None:
    assert tick(instance) == Ticked([], "nothing to do", [])
    with store.read() as connection:
        (heartbeat,) = heartbeats_now(connection)
    assert (heartbeat.name, heartbeat.detail) == ("saga_runs", {"asked": 0, "cancelled": 0, "taken_back": 0})
    assert heartbeat.age_s < 60


@pytest.mark.parametrize(("ready", "runs"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_a_run_is_asked_for_each_cohort(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch, ready: int, runs: int
) -> None:
    monkeypatch.setenv("SELO_COHORT_SIZE", "2")
    process_settings.cache_clear()
    for number in range(ready):
        begin(store, f"p{number}")
    ticked = tick(instance)
    assert ticked.asked == [("saga_keepsake", FORWARD)] * runs
    assert ticked.skipped is None
    for request in ticked.requests:
        assert request.tags["selo/direction"] == FORWARD
        assert request.tags["selo/saga_type"] == "keepsake"
        assert request.run_key is None


def test_undoing_is_asked_for_first_and_each_type_by_itself(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana", fail_at="plan", how="permanent")
    begin(store, "ben", fail_at="plan", how="permanent")
    work(instance)
    begin(store, "cy")
    begin(store, "di", LETTER)
    assert tick(instance).asked == [
        ("saga_keepsake", COMPENSATE),
        ("saga_keepsake", FORWARD),
        ("saga_letter", FORWARD),
    ]


def test_a_person_has_one_saga_at_a_time(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_COHORT_SIZE", "1")
    process_settings.cache_clear()
    begin(store, "ana")
    again(store, "ana")
    assert len(tick(instance).asked) == 1


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
)
def test_runs_that_have_not_claimed_yet_are_counted(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    monkeypatch.setenv("SELO_COHORT_SIZE", "1")
    process_settings.cache_clear()
    for name in ("ana", "ben", "cy"):
        begin(store, name)
    run_in(instance, status, tags={"selo/direction": FORWARD})
    assert len(tick(instance).asked) == 2
    for _ in range(2):
        run_in(instance, status, tags={"selo/direction": FORWARD})
    ticked = tick(instance)
    assert (ticked.asked, ticked.skipped) == ([], "keepsake_forward 3")


def test_a_queued_run_of_the_other_direction_is_not_counted(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana")
    run_in(instance, dg.DagsterRunStatus.QUEUED, tags={"selo/direction": COMPENSATE})
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]


def test_a_run_that_has_begun_holds_what_it_claimed_and_no_more(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana")
    run_id = run_in(instance, dg.DagsterRunStatus.STARTED, tags={"selo/direction": FORWARD})
    take(store, run_id)
    assert tick(instance) == Ticked([], "nothing to do", [])
    begin(store, "ben")
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]


def test_what_waits_is_asked_for_when_its_time_has_come(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana", fail_at="promise", how="passing")
    work(instance)
    assert states(store) == {"ana": "waiting"}
    assert tick(instance).asked == []
    with store.write() as connection:
        connection.execute(update(sagas).values(next_attempt_at=SystemClock().now()))
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]


def test_the_runs_that_a_tick_asks_for_do_the_work(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="permanent")
    for expected in ("compensating", "compensated"):
        (asked,) = tick(instance).asked
        work(instance, direction=asked[1])
        assert state(store, saga_id) == expected
    assert tick(instance).skipped == "nothing to do"


# What is taken back.


def test_an_expired_lease_is_taken_back_and_asked_for(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana")
    dead, alive = (run_in(instance, dg.DagsterRunStatus.STARTED) for _ in range(2))
    take(store, dead)
    assert tick(instance).asked == []
    with store.write() as connection:
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]
    with store.read() as connection:
        detail = heartbeats_now(connection)[0].detail
    assert (detail["taken_back"], detail["runs_ended"]) == (1, 1)
    # Its process is gone: it must not keep a place in the queue.
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses == {dead: dg.DagsterRunStatus.FAILURE, alive: dg.DagsterRunStatus.STARTED}


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_what_a_finished_run_still_holds_is_taken_back_at_once(
    instance: dg.DagsterInstance, store: Store, status: dg.DagsterRunStatus
) -> None:
    saga_id = begin(store, "ana")
    take(store, run_in(instance, status))
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]
    row = saga_row(store, saga_id)
    assert (row.lease_until, row.lost, row.cancel_requested) == (None, 1, False)
    assert work(instance).success
    assert state(store, saga_id) == "completed"


def test_what_a_run_without_a_record_holds_is_taken_back(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    take(store, "00000000-0000-4000-8000-000000000000")
    assert tick(instance).asked == [("saga_keepsake", FORWARD)]
    assert saga_row(store, saga_id).direction == FORWARD


@pytest.mark.parametrize("status", UNFINISHED)
def test_what_a_run_holds_that_has_not_ended_stays_with_it(
    instance: dg.DagsterInstance, store: Store, status: dg.DagsterRunStatus
) -> None:
    saga_id = begin(store, "ana")
    take(store, run_in(instance, status))
    before = saga_row(store, saga_id)
    assert tick(instance).asked == []
    assert saga_row(store, saga_id) == before


def test_a_saga_that_is_lost_three_times_is_parked_with_an_alert(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    ticks = []
    for alone in (False, False, True):
        assert take(store, run_in(instance, dg.DagsterRunStatus.FAILURE), alone=alone) == [saga_id]
        assert saga_row(store, saga_id).state == "running"
        ticks.append(tick(instance))
    assert [ticked.asked for ticked in ticks] == [[("saga_keepsake", FORWARD)], [("saga_keepsake", FORWARD)], []]
    assert ticks[-1].skipped == "taken_back 1"
    row = saga_row(store, saga_id)
    assert (row.state, row.reason) == ("parked", "lost_claims")
    assert count(store, saga_alerts, saga_id=saga_id, code="parked") == 1
    assert tick(instance).skipped == "nothing to do"


def test_a_run_that_came_further_is_not_held_against_its_sagas(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    for step in ("remember", "plan", "weigh"):
        run_id = run_in(instance, dg.DagsterRunStatus.FAILURE)
        take(store, run_id)
        carry(store, run_id, KEEPSAKE, step)
        assert tick(instance).asked == [("saga_keepsake", FORWARD)]
        assert saga_row(store, saga_id).lost == 0


# Terminated runs.


def test_a_cancelled_run_cancels_its_unfinished_sagas_before_the_pivot(
    instance: dg.DagsterInstance, store: Store
) -> None:
    done = begin(store, "ana")
    assert work(instance).success
    begun, fresh = begin(store, "ben", LETTER), begin(store, "cy", LETTER)
    run_id = instance.create_run_for_job(JOBS["letter", 1], status=dg.DagsterRunStatus.CANCELED).run_id
    take(store, run_id, LETTER, ids=[begun])
    carry(store, run_id, LETTER, "remember")
    take(store, run_id, LETTER, ids=[fresh])
    assert tick(instance).asked == [("saga_letter", COMPENSATE)]
    with store.read() as connection:
        assert heartbeats_now(connection)[0].detail["cancelled"] == 2
    assert work(instance, LETTER).success
    assert (state(store, done), state(store, begun), state(store, fresh)) == ("completed", "compensated", "cancelled")
    assert {saga_row(store, saga_id).reason for saga_id in (begun, fresh)} == {"cancelled"}
    assert count(store, saga_interventions, actor="dagster", action="cancel") == 2
    assert count(store, goals, user_id="ben", state=ACTIVE) == 0
    assert tick(instance).skipped == "nothing to do"


def test_a_run_cancelled_after_the_pivot_is_gone_on_with(
    instance: dg.DagsterInstance, store: Store, tmp_path: Any
) -> None:
    saga_id = begin(store, "ana", LETTER, gate=str(tmp_path / "gate"))
    run_id = instance.create_run_for_job(JOBS["letter", 1], status=dg.DagsterRunStatus.CANCELED).run_id
    take(store, run_id, LETTER)
    carry(store, run_id, LETTER, "remember", "ponder", "seal")
    assert tick(instance).asked == [("saga_letter", FORWARD)]
    assert not saga_row(store, saga_id).cancel_requested
    assert work(instance, LETTER).success
    assert state(store, saga_id) == "completed"


def test_a_cancelled_way_back_is_gone_on_with(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    assert work(instance).success
    turned(store, saga_id)
    run_id = run_in(instance, dg.DagsterRunStatus.CANCELED)
    take(store, run_id, direction=COMPENSATE)
    epoch = saga_row(store, saga_id).epoch
    undo_step(tools(store), KEEPSAKE, KEEPSAKE.step("promise"), [(saga_id, epoch)], run_id)
    assert tick(instance).asked == [("saga_keepsake", COMPENSATE)]
    row = saga_row(store, saga_id)
    assert (row.direction, row.cancel_requested, row.reason) == (COMPENSATE, False, "asked")
    assert work(instance).success
    assert state(store, saga_id) == "compensated"
    assert set(steps(store, saga_id).values()) == {"undone"}


def test_a_cancelled_run_is_a_wish_only_once(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    take(store, run_in(instance, dg.DagsterRunStatus.CANCELED))
    tick(instance)
    first = saga_row(store, saga_id)
    tick(instance)
    assert saga_row(store, saga_id) == first
    assert count(store, saga_interventions) == 1


def test_a_cancelled_run_is_a_wish_also_when_its_lease_has_run_out(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    take(store, run_in(instance, dg.DagsterRunStatus.CANCELED))
    with store.write() as connection:
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
    assert tick(instance).asked == [("saga_keepsake", COMPENSATE)]
    assert saga_row(store, saga_id).cancel_requested


def test_the_wish_of_a_cancelled_run_outlives_the_claim_of_another_run(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana")
    take(store, run_in(instance, dg.DagsterRunStatus.CANCELED))
    with store.write() as connection:
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
    # A run that was in the queue meanwhile claims before the next tick.
    work(instance)
    tick(instance)
    work(instance)
    assert state(store, saga_id) != "completed"


# The monitor.


def watch(instance: dg.DagsterInstance, clock: FixedClock | None = None) -> str | None:
    """Evaluate one tick of saga_monitor; returns its reason."""
    sensor = saga_monitor_sensor(registry()) if clock is None else saga_monitor_sensor(registry(), lambda: clock)
    data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert not data.run_requests
    return data.skip_message


def test_the_monitor_leaves_a_sign_of_life_also_when_nothing_is_under_way(
    instance: dg.DagsterInstance, store: Store
) -> None:
    assert watch(instance) == "no saga is under way"
    with store.read() as connection:
        (heartbeat,) = heartbeats_now(connection)
    assert (heartbeat.name, heartbeat.detail) == ("saga_monitor", {"restarted": 0})


def past_its_pivot(instance: dg.DagsterInstance, store: Store, user_id: str, tmp_path: Path) -> str:
    """Let somebody's letter have passed the point from which there is no way back, and be free; returns its id."""
    saga_id = begin(store, user_id, LETTER, gate=str(tmp_path / "gate"))
    run_id = run_in(instance, dg.DagsterRunStatus.FAILURE)
    take(store, run_id, LETTER, ids=[saga_id])
    carry(store, run_id, LETTER, "remember", "ponder", "seal")
    with store.write() as connection:
        connection.execute(update(sagas).where(sagas.c.id == saga_id).values(lease_until=None))
    return saga_id


def test_the_monitor_counts_how_sagas_are_and_alerts_once_for_those_that_are_late(
    instance: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    begin(store, "ana")
    working = begin(store, "ben")
    take(store, run_in(instance, dg.DagsterRunStatus.STARTED), ids=[working])
    begin(store, "cy", fail_at="promise", how="passing")
    work(instance, ids=[last(store)])
    late = past_its_pivot(instance, store, "di", tmp_path)
    with store.write() as connection:
        past = SystemClock().now() - timedelta(seconds=1)
        connection.execute(update(sagas).where(sagas.c.id == late).values(deadline_at=past))
    assert watch(instance) == "late 1, ready 1, waiting 1, working 1"
    assert watch(instance) == "late 1, ready 1, waiting 1, working 1"
    assert count(store, saga_alerts) == count(store, saga_alerts, saga_id=late, code="late") == 1
    with store.read() as connection:
        found = {one.name: one.detail for one in heartbeats_now(connection)}
    assert found["saga_monitor"] == {"late": 1, "ready": 1, "waiting": 1, "working": 1, "restarted": 0}


def last(store: Store) -> str:
    """Return the id of the saga that was asked for last."""
    with store.read() as connection:
        return str(connection.execute(select(sagas.c.id).order_by(sagas.c.place.desc()).limit(1)).scalar_one())


def test_the_monitor_alerts_for_what_nobody_takes(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    with store.write() as connection:
        connection.execute(update(sagas).values(changed_at=database_now(-301)))
    assert watch(instance) == "untaken 1"
    assert count(store, saga_alerts, saga_id=saga_id, code="untaken") == 1


def test_the_monitor_looks_at_the_clock_that_it_is_given(
    instance: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    past_its_pivot(instance, store, "ana", tmp_path)
    assert watch(instance, FixedClock(SystemClock().now() + timedelta(days=2))) == "late 1"


# The boundary.


@pytest.mark.parametrize("which", ["saga_runs", "saga_monitor"])
def test_a_tick_that_breaks_says_its_class_and_no_words(instance: dg.DagsterInstance, store: Store, which: str) -> None:
    begin(store, "ana", text=SECRET)
    with store.write() as connection:
        connection.execute(text("DROP TABLE saga_locks"))
    with pytest.raises(dg.Failure) as caught:
        (tick if which == "saga_runs" else watch)(instance)
    said = f"{caught.value.description} {caught.value.__cause__!r}"
    assert which in said
    assert "Error" in said
    assert SECRET not in said
    assert caught.value.__cause__ is None


def test_ticks_leave_no_word_in_dagsters_home(store: Store, tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        faults: list[How] = ["permanent", "passing", "unwritable"]
        for number, how in enumerate(faults):
            begin(store, f"p{number}", fail_at="promise", how=how, text=SECRET)
        for _ in range(3):
            for job, direction in tick(instance).asked:
                assert job == "saga_keepsake"
                result = work(instance, direction=direction)
                assert SECRET not in repr(tags(instance, result.run_id))
            assert SECRET not in repr((tick(instance), watch(instance)))
    assert leaks_in(home) == []
    assert SECRET not in "".join(capfd.readouterr())
