"""The sensor that looks between the schedules' ticks: what is due again, and what dead runs left behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.dead_runs import end_dead_runs
from selo_dagster.llm.breaker import Standing
from selo_dagster.llm.tables import CLOSED
from selo_dagster.reflections.acceptance import unaccepted_now
from selo_dagster.reflections.claim import take_back_expired
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.holding import Guard, held_back
from selo_dagster.reflections.jobs import KIND_TAG
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.one_offs import place_due
from selo_dagster.reflections.outage import asks, standing_now, who_probes
from selo_dagster.reflections.report import runs_alive, runs_past_their_lease
from selo_dagster.reflections.schedules import NOT_YET_CLAIMING, runs_wanted
from selo_dagster.reflections.spending import give_back_lost, over_budget
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store

NAME = "due_requests"
INTERVAL_S = 10
RUNS_LOOKED_AT = 200
YOUNG_S = 60
"""Seconds in which a run that started may not have claimed anything yet."""


def due_requests_sensor(
    kinds: Mapping[str, Kind],
    jobs: Mapping[str, dg.JobDefinition],
    clock: Callable[[], Clock] = SystemClock,
    guard: Guard = held_back,
) -> dg.SensorDefinition:
    """Build the sensor. It reads levels, not events: a tick that is lost or repeated changes nothing.

    It enrols nobody; that is the schedules' part. So a tick costs a few index look-ups per kind.
    """

    @dg.sensor(
        name=NAME,
        jobs=list(jobs.values()),
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for runs of what is due again after a failure or a request, and takes back what runs "
        "that died still hold once their lease has ended.",
    )
    def due_requests(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with private_boundary(NAME), open_store(process_settings()) as store:
            yield from _tick(context, store, kinds, clock(), guard)

    return due_requests


def _tick(
    context: dg.SensorEvaluationContext, store: Store, kinds: Mapping[str, Kind], clock: Clock, guard: Guard
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    now = clock.now()
    settings = process_settings()
    cohort_size = settings.cohort_size
    placed = place_due(store, now, settings.catchup_days)
    found: dict[str, int] = {"one_offs_placed": placed} if placed else {}
    with store.read() as connection:
        late = runs_past_their_lease(connection)
    found |= {"runs_ended": dead} if (dead := end_dead_runs(context.instance, late)) else {}
    found |= {"calls_given_back": lost} if (lost := give_back_lost(store, settings)) else {}
    asked = 0
    standing = standing_now(store, settings)
    over = over_budget(store, settings, kinds, now)
    unaccepted = unaccepted_now(store, settings)
    parked: dict[str, int] = {}
    for kind in kinds.values():
        with store.write() as connection:
            taken_back = take_back_expired(connection, kind, now)
            ready = ready_count(connection, kind, now)
        found |= {f"{kind.name}_taken_back": taken_back} if taken_back else {}
        found |= {f"{kind.name}_ready": ready} if ready else {}
        if not ready:
            continue
        held = guard(store, settings)
        if held is not None:
            found["held_back"] = found.get("held_back", 0) + ready
            continue
        if kind.name in over:
            found["over_budget"] = found.get("over_budget", 0) + ready
            continue
        if unaccepted is not None and asks(kind):
            found["not_accepted"] = found.get("not_accepted", 0) + ready
            continue
        if standing.state != CLOSED and asks(kind):
            parked[kind.name] = ready
            continue
        with store.read() as connection:
            alive = set(connection.execute(runs_alive()).scalars())
        under_way = _under_way(context.instance, kind, alive, now.timestamp())
        for _ in range(runs_wanted(ready, cohort_size, under_way)):
            asked += 1
            yield dg.RunRequest(job_name=kind.job, tags={KIND_TAG: kind.name})
    if parked:
        found["parked"] = sum(parked.values())
        chosen = _one_at_a_time(context.instance, store, [kinds[name] for name in parked], standing, now)
        if chosen is not None:
            asked += 1
            yield dg.RunRequest(job_name=chosen.job, tags={KIND_TAG: chosen.name})
    with store.write() as connection:
        beat(connection, NAME, found)
    if not asked:
        yield dg.SkipReason(", ".join(f"{what} {number}" for what, number in found.items()) or "nothing is ready")


def _one_at_a_time(
    instance: dg.DagsterInstance, store: Store, parked: Sequence[Kind], standing: Standing, now: datetime
) -> Kind | None:
    """Return the kind of which one run may find out whether the model's server is back, or use what room there is."""
    if standing.is_open and not standing.probe_due:
        return None
    with store.read() as connection:
        alive = set(connection.execute(runs_alive()).scalars())
    if any(_under_way(instance, kind, alive, now.timestamp()) for kind in parked):
        return None
    return who_probes(parked, standing)


def _under_way(instance: dg.DagsterInstance, kind: Kind, alive: set[str], now: float) -> int:
    """Count runs that wait to start, and those that work: they take what becomes ready meanwhile.

    A run whose process is gone may stay "started" for hours; one that holds nothing and is not young is no help.
    """
    waiting = instance.get_runs_count(dg.RunsFilter(job_name=kind.job, statuses=NOT_YET_CLAIMING))
    started = instance.get_run_records(
        dg.RunsFilter(job_name=kind.job, statuses=[dg.DagsterRunStatus.STARTED]), limit=RUNS_LOOKED_AT
    )
    working = [
        record
        for record in started
        if record.dagster_run.run_id in alive or record.start_time is None or now - record.start_time < YOUNG_S
    ]
    return waiting + len(working)
