"""The sensors: one starts what the journal says is to be done, one watches what does not get on. Both read levels."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock, parse_instant
from selo_dagster.dead_runs import end_dead_runs
from selo_dagster.errors import SeloError
from selo_dagster.reflections.schedules import NOT_YET_CLAIMING, runs_wanted
from selo_dagster.sagas.claim import claimable_count
from selo_dagster.sagas.conversations import start_ended
from selo_dagster.sagas.episodes import start_ready_episodes
from selo_dagster.sagas.monitor import watch
from selo_dagster.sagas.ops import CLAIM, DIRECTION_TAG, TYPE_TAG
from selo_dagster.sagas.reconcile import RunEnd, reconcile, runs_past_their_lease, runs_that_hold
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store

RUNS: Final = "saga_runs"
MONITOR: Final = "saga_monitor"
RUNS_INTERVAL_S: Final = 3
"""Below the five seconds of Dagster's loop, so that each of its turns is a tick."""

EPISODES_EVERY: Final = timedelta(minutes=1)
"""How often sessions are looked at: nothing about them is a matter of seconds. The sensor's cursor says when it was."""

START_BUDGET_S: Final = 10.0
"""Seconds after which a tick asks for no further conversations: undoing must not wait for them."""

MONITOR_INTERVAL_S: Final = 30
Jobs = Mapping[tuple[str, int], dg.JobDefinition]


def saga_runs_sensor(registry: Registry, jobs: Jobs, clock: Callable[[], Clock] = SystemClock) -> dg.SensorDefinition:
    """Build the sensor that asks for runs: start, recovery, compensation. A tick lost or repeated changes nothing."""

    @dg.sensor(
        name=RUNS,
        jobs=list(jobs.values()),
        minimum_interval_seconds=RUNS_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for runs of sagas that are to be done, undone or gone on with, and frees what runs hold "
        "that have ended; a terminated run is a wish to cancel. Starts what ended conversations and sessions ask for.",
    )
    def saga_runs(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with private_boundary(RUNS), open_store(process_settings()) as store:
            yield from _tick(context, store, registry, jobs, clock())

    return saga_runs


def _tick(
    context: dg.SensorEvaluationContext, store: Store, registry: Registry, jobs: Jobs, clock: Clock
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    now = clock.now()
    with store.read() as connection:
        holding, late = runs_that_hold(connection), runs_past_their_lease(connection)
    # Asked before the dead are ended: a wish to cancel must not be taken for a death.
    ends = run_ends(context.instance, holding)
    dead = end_dead_runs(context.instance, late)
    with store.write() as connection:
        found = reconcile(connection, registry, ends, now) | ({"runs_ended": dead} if dead else {})
    found |= _start_what_is_due(context, store, registry, now)
    asked = 0
    for key, saga in registry.by_version.items():
        for direction in (COMPENSATE, FORWARD):
            with store.read() as connection:
                ready = claimable_count(connection, saga, direction, now)
            if not ready:
                continue
            found[f"{saga.name}_{direction}"] = ready
            for _ in range(_wanted(context.instance, jobs[key].name, direction, ready)):
                asked += 1
                yield dg.RunRequest(
                    job_name=jobs[key].name,
                    run_config={"ops": {CLAIM: {"config": {"direction": direction}}}},
                    tags={TYPE_TAG: saga.name, DIRECTION_TAG: direction},
                )
    with store.write() as connection:
        beat(connection, RUNS, {**found, "asked": asked})
    if not asked:
        yield dg.SkipReason(
            ", ".join(f"{what} {number}" for what, number in found.items() if number) or "nothing to do"
        )


def _start_what_is_due(
    context: dg.SensorEvaluationContext, store: Store, registry: Registry, now: datetime
) -> dict[str, int]:
    """Ask for what ended conversations and sessions ask for; returns the numbers that are not zero."""
    found = {"conversations_ended": start_ended(store, registry, now, budget_s=START_BUDGET_S)}
    if not _lately(context.cursor, now):
        found["episodes_ready"] = start_ready_episodes(store, registry, now)
        context.update_cursor(now.isoformat())
    return {what: number for what, number in found.items() if number}


def _lately(cursor: str | None, now: datetime) -> bool:
    """Tell whether sessions were looked at a moment ago. A cursor that says nothing says no."""
    try:
        return timedelta(0) <= now - parse_instant(cursor or "") < EPISODES_EVERY
    except SeloError:
        return False


def _wanted(instance: dg.DagsterInstance, job: str, direction: str, ready: int) -> int:
    waiting = instance.get_runs_count(
        dg.RunsFilter(job_name=job, statuses=NOT_YET_CLAIMING, tags={DIRECTION_TAG: direction})
    )
    return runs_wanted(ready, process_settings().cohort_size, waiting)


def run_ends(instance: dg.DagsterInstance, run_ids: list[str]) -> dict[str, RunEnd]:
    """Return what Dagster knows of the ends of some runs; one without a record has ended."""
    if not run_ids:
        return {}
    found: dict[str, RunEnd] = dict.fromkeys(run_ids, "ended")
    for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids)):
        if run.status == dg.DagsterRunStatus.CANCELED:
            found[run.run_id] = "cancelled"
        elif not run.is_finished:
            found[run.run_id] = "alive"
    return found


def saga_monitor_sensor(registry: Registry, clock: Callable[[], Clock] = SystemClock) -> dg.SensorDefinition:
    """Build the sensor that watches; its own heartbeat is watched by `selo status`."""

    @dg.sensor(
        name=MONITOR,
        minimum_interval_seconds=MONITOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells apart sagas that work, wait, are late, dead, parked or in doubt; leaves alerts and starts "
        "anew what policy allows.",
    )
    def saga_monitor(_context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
        with private_boundary(MONITOR), open_store(process_settings()) as store, store.write() as connection:
            watched = watch(connection, registry, clock().now())
            beat(connection, MONITOR, {**watched.conditions, "restarted": len(watched.restarted)})
        said = ", ".join(f"{name} {number}" for name, number in sorted(watched.conditions.items()))
        yield dg.SkipReason(said or "no saga is under way")

    return saga_monitor
