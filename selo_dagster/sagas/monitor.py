"""Tells sagas apart that do not get on: each condition has its own remedy. R12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.claim import held_of
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.journal import raise_alert
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import (
    CLAIMABLE,
    COMPENSATED,
    COMPENSATION_INCOMPLETE,
    ENDED,
    FORWARD,
    IN_DOUBT,
    NOTHING_TO_UNDO,
    PARKED,
    PAUSED,
    StepState,
)
from selo_dagster.sagas.tables import saga_locks, saga_steps, sagas
from selo_dagster.sagas.traced import tell
from selo_dagster.sagas.turning import overdue
from selo_dagster.store.types import database_now

UNTAKEN_AFTER: Final = timedelta(minutes=5)
"""How long a saga may be ready and untaken before somebody is told: some ticks of the sensor, and a run's start."""

SPAN: Final = "selo.saga.monitor"

REMEDIES: Final = {
    "working": "none: its holder is alive",
    "dead": "none: its lease has ended, and the next tick gives it to another run",
    "waiting": "none: it is tried again at its time",
    "queued": "none: an earlier saga of the same person is not at its end",
    "ready": "none: the next tick asks for a run",
    "untaken": "nothing takes it: look whether the daemon and the sensor saga_runs run, or `selo saga run`",
    "late": "its deadline has passed and there is no way back: look at it with `selo saga show`",
    "parked": "decide: `selo saga retry`, `compensate`, or `waive`",
    "in_doubt": "find out whether the effect happened, then `selo saga retry` or `compensate`",
    "compensation_incomplete": "mend the cause, then `selo saga retry`, or `waive` the step",
    "paused": "`selo saga resume` when its time has come",
}
TELLING: Final = ("untaken", "late", PARKED, IN_DOUBT, COMPENSATION_INCOMPLETE)
"""Conditions of which somebody has to know."""


@dataclass(frozen=True)
class Condition:
    """How one saga is. since: when it last changed, by the database's clock."""

    saga_id: str
    type: str
    user_id: str
    condition: str
    since: datetime

    @property
    def remedy(self) -> str:
        """Say what to do."""
        return REMEDIES[self.condition]


def conditions(connection: Connection, registry: Registry, now: datetime) -> Iterator[Condition]:
    """Yield every saga that has not ended with its condition, oldest first."""
    no_way_back = _past_pivot(connection, registry)
    holders = {
        row.user_id: row.saga_id for row in connection.execute(select(saga_locks.c.user_id, saga_locks.c.saga_id))
    }
    first: set[str] = set()
    ahead = {name for (name, _), saga in registry.by_version.items() if saga.goes_first}
    rows = connection.execute(
        select(sagas, database_now().label("moment")).where(sagas.c.state.not_in(ENDED)).order_by(sagas.c.place)
    )
    for row in rows:
        queue = ({}, set[str]()) if row.type in ahead else (holders, first)
        yield Condition(row.id, row.type, row.user_id, _condition(row, now, *queue, no_way_back), row.changed_at)
        first.add(row.user_id)


def _past_pivot(connection: Connection, registry: Registry) -> set[str]:
    """Return the sagas that have not ended and have passed the point from which there is no way back."""
    pivots = {saga.pivot.name for saga in registry.by_version.values() if saga.pivot is not None}
    if not pivots:
        return set()
    rows = connection.execute(
        select(sagas.c.id, sagas.c.type, sagas.c.version, saga_steps.c.step)
        .join(saga_steps, (saga_steps.c.saga_id == sagas.c.id) & (saga_steps.c.generation == sagas.c.generation))
        .where(sagas.c.state.not_in(ENDED), saga_steps.c.state == StepState.DONE, saga_steps.c.step.in_(sorted(pivots)))
    )
    found = set()
    for row in rows:
        saga = registry.by_version.get((row.type, row.version))
        if saga is not None and saga.pivot is not None and saga.pivot.name == row.step:
            found.add(row.id)
    return found


def _condition(row: Any, now: datetime, holders: dict[str, str], first: set[str], no_way_back: set[str]) -> str:
    if row.state in {PAUSED, PARKED, IN_DOUBT, COMPENSATION_INCOMPLETE}:
        return str(row.state)
    if overdue(row, now) and row.direction == FORWARD and row.id in no_way_back:
        # Before the pivot the next try turns it round.
        return "late"
    if row.lease_until is not None:
        return "working" if row.lease_until >= row.moment else "dead"
    if row.next_attempt_at is not None and row.next_attempt_at > now:
        return "waiting"
    if holders.get(row.user_id, row.id) != row.id or row.user_id in first:
        return "queued"
    return "untaken" if row.state in CLAIMABLE and row.moment - row.changed_at > UNTAKEN_AFTER else "ready"


@dataclass
class Watched:
    """What one round of the monitor found. conditions: number of sagas by condition; restarted: by themselves."""

    conditions: dict[str, int]
    restarted: list[str]


def watch(connection: Connection, registry: Registry, now: datetime) -> Watched:
    """Leave an alert for each saga of which somebody has to know, and start anew what policy allows."""
    counts: dict[str, int] = {}
    for one in list(conditions(connection, registry, now)):
        counts[one.condition] = counts.get(one.condition, 0) + 1
        if one.condition in {"untaken", "late"}:
            # The others left theirs with the change of state itself.
            row = connection.execute(select(sagas).where(sagas.c.id == one.saga_id).with_for_update()).one()
            if raise_alert(connection, held_of(row), one.condition, {"since": one.since.isoformat()}):
                tell(
                    connection, SPAN, [row], type=one.type, action="alert", condition=one.condition, code=one.condition
                )
    return Watched(counts, _restart(connection, registry, now))


def _restart(connection: Connection, registry: Registry, now: datetime) -> list[str]:
    """Start a new generation of what was undone whole after a passing failure, as often as its definition allows."""
    desk = Desk(
        connection, now, lambda name, version: definition_of(registry, name, version), "saga_monitor", "retry policy"
    )
    restarted = []
    rows = connection.execute(
        select(sagas)
        .where(
            sagas.c.state.in_((COMPENSATED, NOTHING_TO_UNDO)),
            sagas.c.reason == "step_failed",
            ~sagas.c.cancel_requested,
        )
        .order_by(sagas.c.place)
    ).all()
    for row in rows:
        try:
            definition = definition_of(registry, row.type, row.version)
        except SeloError:
            continue
        passing = (row.error or {}).get("meaning") == "transient"
        if passing and row.generation < definition.generations:
            desk.retry(row.id)
            tell(connection, SPAN, [row], type=row.type, action="restart", generation=row.generation + 1)
            restarted.append(row.id)
    return restarted
