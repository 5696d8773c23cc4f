"""Frees what runs hold that have ended: a terminated forward run is a wish to cancel, any other end goes on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.claim import take_back_expired, take_back_from
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.job_runs import lost_runs
from selo_dagster.store.types import database_now

RunEnd = Literal["alive", "cancelled", "ended"]
ACTOR: Final = "dagster"


def runs_that_hold(connection: Connection) -> list[str]:
    """Return the runs that hold a saga."""
    rows = select(sagas.c.run_id).where(sagas.c.run_id.is_not(None), sagas.c.lease_until.is_not(None)).distinct()
    return sorted(connection.execute(rows).scalars())


def runs_past_their_lease(connection: Connection) -> list[str]:
    """Return the runs that hold a saga under a lease that has ended, or held one that another run took back."""
    rows = select(sagas.c.run_id).where(sagas.c.lease_until < database_now()).distinct()
    found = {run_id for run_id in connection.execute(rows).scalars() if run_id is not None}
    gone = lost_runs(connection, of_sagas=True)
    return sorted(found | (gone and gone - set(runs_that_hold(connection))))


def reconcile(connection: Connection, registry: Registry, ends: Mapping[str, RunEnd], now: datetime) -> dict[str, int]:
    """Bring the journal in step with how runs ended; returns {cancelled, taken_back}. Idempotent."""
    cancelled = 0
    desk = Desk(
        connection,
        now,
        lambda name, version: definition_of(registry, name, version),
        ACTOR,
        "the run that carried it was terminated",
    )
    stopped = sorted(run_id for run_id, end in ends.items() if end == "cancelled")
    if stopped:
        rows = connection.execute(
            select(sagas.c.id)
            .where(sagas.c.run_id.in_(stopped), sagas.c.direction == FORWARD, sagas.c.lease_until.is_not(None))
            .order_by(sagas.c.id)
        )
        for saga_id in list(rows.scalars()):
            try:
                cancelled += desk.cancel(saga_id).changed
            except SeloError:
                # Past the pivot it is resumed like any other.
                continue
    taken_back = take_back_from(connection, sorted(run_id for run_id, end in ends.items() if end != "alive"))
    return {"cancelled": cancelled, "taken_back": taken_back + take_back_expired(connection)}
