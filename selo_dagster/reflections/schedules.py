"""One schedule per kind: looks who is due, and asks for as many runs as that takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.llm.breaker import Standing
from selo_dagster.llm.tables import CLOSED
from selo_dagster.people.partitions import sync_partitions
from selo_dagster.reflections.acceptance import unaccepted_now
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.holding import Guard, held_back
from selo_dagster.reflections.jobs import KIND_TAG
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.look import look
from selo_dagster.reflections.outage import asks, sentence, standing_now
from selo_dagster.reflections.spending import over_budget, waits
from selo_dagster.settings import process_settings
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store

CRON = "*/15 * * * *"
NOT_YET_CLAIMING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]


def runs_wanted(ready: int, cohort_size: int, waiting: int) -> int:
    """Return how many more runs are asked for: one per cohort of ready rows, less those that wait to start."""
    return max(0, math.ceil(ready / cohort_size) - waiting)


def schedule_of(
    kind: Kind, job: dg.JobDefinition, clock: Callable[[], Clock] = SystemClock, guard: Guard = held_back
) -> dg.ScheduleDefinition:
    """Build the schedule of a kind. A tick that comes late, twice or not at all loses and doubles nothing."""

    @dg.schedule(
        name=kind.schedule,
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Every 15 minutes: enrols who is due ({kind.due}) and asks for the runs that it takes.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with private_boundary(kind.schedule):
            yield from _tick(context, kind, clock(), guard)

    return tick


def _tick(
    context: dg.ScheduleEvaluationContext, kind: Kind, clock: Clock, guard: Guard
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    settings = process_settings()
    now = clock.now()
    with open_store(settings) as store:
        found = look(store, kind, now, settings.catchup_days)
        sync_partitions(store, context.instance)
        held = guard(store, settings)
        standing = standing_now(store, settings) if asks(kind) else Standing()
        over = over_budget(store, settings, {kind.name: kind}, now)
        unaccepted = unaccepted_now(store, settings) if asks(kind) else None
        with store.read() as connection:
            ready = ready_count(connection, kind, now)
        with store.write() as connection:
            beat(connection, kind.schedule, {"ready": ready, "due": found.due})
    waiting = len(
        context.instance.get_run_ids(
            dg.RunsFilter(job_name=kind.job, statuses=NOT_YET_CLAIMING), limit=settings.cohort_size
        )
    )
    if held is not None and ready:
        # Nothing is put off in the ledger: the first tick after it opens finds the same rows.
        yield dg.SkipReason(f"{ready} ready, held back by the resource guard: {held.sentence}")
        return
    if ready and unaccepted is not None:
        yield dg.SkipReason(f"{ready} ready, held back: {unaccepted}")
        return
    if ready and standing.is_open and not standing.probe_due:
        yield dg.SkipReason(f"{ready} ready, parked: {sentence(settings, standing)}")
        return
    if ready and over:
        yield dg.SkipReason(f"{ready} ready: {waits(over[kind.name])}")
        return
    for zone in found.bad_zones:
        context.log.warning(f"people in zone {zone!r} cannot be enrolled: there is no such zone")
    wanted = runs_wanted(ready, settings.cohort_size, waiting)
    if standing.state != CLOSED:
        # One finds out whether the server is back, or shares what room there is.
        wanted = min(wanted, 1)
    if not wanted:
        yield dg.SkipReason(f"{ready} ready, {found.due} newly due, {found.too_old} too old, {waiting} runs waiting")
        return
    tick = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
    for number in range(wanted):
        yield dg.RunRequest(run_key=f"{kind.name}:{tick}:{number}", tags={KIND_TAG: kind.name})
