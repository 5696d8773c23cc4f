"""The sensor over the event stream: lets the rules see what happened, and asks for runs of what they ask for."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

import dagster as dg
from sqlalchemy import select

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.memory.stream import position
from selo_dagster.people.partitions import KEYS_A_CALL, PARTITIONS
from selo_dagster.reflections.caused import caused_by
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.holding import Guard, held_back
from selo_dagster.reflections.jobs import KIND_TAG
from selo_dagster.reflections.pauses import free_now
from selo_dagster.reflections.report import keys_of
from selo_dagster.reflections.schedules import NOT_YET_CLAIMING, runs_wanted
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.heartbeats import beat
from selo_dagster.store.opening import open_store
from selo_dagster.triggers.asking import TRIGGERED
from selo_dagster.triggers.catalogue import Catalogue
from selo_dagster.triggers.cursor import Cursor, read_cursor
from selo_dagster.triggers.reader import READER, look_for_triggers

NAME: Final = "memory_events"
INTERVAL_S: Final = 3
"""Below the five seconds of Dagster's loop: at five, a tick that is a hair early is left out, and ten go by."""

BUDGET_S: Final = 20.0
"""Seconds after which a tick begins no further batch: well below the 60 s after which Dagster gives a tick up."""

SHOWN_EVENTS: Final = 20
TRIGGER_TAG: Final = "selo/trigger"
EVENTS_TAG: Final = "selo/cause_events"


def memory_events_sensor(
    catalogue: Catalogue,
    job: dg.JobDefinition,
    clock: Callable[[], Clock] = SystemClock,
    guard: Guard = held_back,
    budget_s: float = BUDGET_S,
) -> dg.SensorDefinition:
    """Build the sensor. What a tick makes of the stream is committed before Dagster hears of it."""

    @dg.sensor(
        name=NAME,
        job=job,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lets every rule see what happened since the last tick; several causes of one person become one "
        "request, and all requests that are ready a run or two, ahead of the nightly work.",
    )
    def memory_events(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with private_boundary(NAME), open_store(process_settings()) as store:
            return _tick(context, store, catalogue, clock(), guard, budget_s)

    return memory_events


def _tick(
    context: dg.SensorEvaluationContext,
    store: Store,
    catalogue: Catalogue,
    clock: Clock,
    guard: Guard,
    budget_s: float,
) -> dg.SensorResult:
    settings, now = process_settings(), clock.now()
    cursor = read_cursor(context.cursor)
    with store.read() as connection:
        seen = position(connection, READER)
    if context.cursor and cursor is None:
        context.log.warning("the cursor could not be read: going on from where the database says")
    elif cursor is not None and cursor.seq != seen:
        context.log.info(f"the cursor says {cursor.seq}, the database {seen}: the database knows what was done")
    looked = look_for_triggers(
        store,
        catalogue,
        now,
        catchup_days=settings.catchup_days,
        budget_s=budget_s,
    )
    _add_partitions(store, context.instance, looked.people)
    requests, ready, held = _requests(context.instance, store, settings, clock, guard)
    found = {"events": looked.events, **looked.by_outcome(), "ready": ready}
    found |= {"parked": looked.parked} if looked.parked else {}
    with store.write() as connection:
        beat(connection, NAME, {**found, "seq": looked.seq, "drained": int(looked.drained)})
    said = ", ".join(f"{what} {number}" for what, number in found.items())
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{said}{held}",
        cursor=Cursor(seq=looked.seq).text(),
    )


def _add_partitions(store: Store, instance: dg.DagsterInstance, people: Collection[str]) -> None:
    """Give partitions to people whose first event came before the next synchronisation."""
    if not people:
        return
    with store.read() as connection:
        keys = sorted(keys_of(connection, people).values())
    missing = sorted(set(keys) - set(instance.get_existing_dynamic_partitions(PARTITIONS, keys)))
    for start in range(0, len(missing), KEYS_A_CALL):
        instance.add_dynamic_partitions(PARTITIONS, missing[start : start + KEYS_A_CALL])


def _requests(
    instance: dg.DagsterInstance, store: Store, settings: Settings, clock: Clock, guard: Guard
) -> tuple[list[dg.RunRequest], int, str]:
    """Return the runs to ask for, how many rows are ready, and why none of them is asked for, if so."""
    with store.read() as connection:
        ready = ready_count(connection, TRIGGERED, clock.now())
    if not ready:
        return [], 0, ""
    held = guard(store, settings)
    if held is not None:
        return [], ready, f"; held back by the resource guard: {held.sentence}"
    waiting = instance.get_runs_count(dg.RunsFilter(job_name=TRIGGERED.job, statuses=NOT_YET_CLAIMING))
    wanted = runs_wanted(ready, settings.cohort_size, waiting)
    if not wanted:
        return [], ready, f"; {waiting} runs wait to start"
    tags = _tags(store, clock)
    return [dg.RunRequest(tags=tags) for _ in range(wanted)], ready, ""


def _tags(store: Store, clock: Clock) -> dict[str, str]:
    """Return what a run says of why it is there: rules, and numbers of events. Nothing of what anybody wrote."""
    with store.read() as connection:
        free = free_now(connection, TRIGGERED.name)
        causes = list(
            connection.execute(
                select(ledger.c.cause)
                .where(
                    ledger.c.kind == TRIGGERED.name,
                    ledger.c.ready_at <= clock.now(),
                    *([] if free is None else [free]),
                )
                .order_by(ledger.c.on.desc(), ledger.c.id)
                .limit(1_000)
            ).scalars()
        )
    shown = [found for cause in causes if (found := caused_by(cause)) is not None]
    names = Counter(one.trigger for one in shown)
    events = [number for one in shown for number in one.events][:SHOWN_EVENTS]
    tags = {
        KIND_TAG: TRIGGERED.name,
        TRIGGER_TAG: ", ".join(f"{name} {count}" for name, count in sorted(names.items())),
    }
    return tags | ({EVENTS_TAG: ", ".join(map(str, events))} if events else {})
