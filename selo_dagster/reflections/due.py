"""Who is due: the one place that turns time into rows of the ledger, each kind by its own cadence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, func, select

from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.kind import Enrolled, Kind
from selo_dagster.reflections.pauses import free_now
from selo_dagster.reflections.states import DEFERRED
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.engine import Store

ledger = reflection_ledger


def enrol(store: Store, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
    """Insert a row for everybody for whom `kind` is due, those of the kinds that it waits for first.

    Dates further back than `catchup_days` ended dates become `skipped(too_old)`, those that became due during a
    pause `skipped(paused)`. Running it twice, or in two processes, changes nothing: the ledger's unique key is
    the de-duplication.
    """
    fold_stream(store)
    found = Enrolled()
    with store.write() as connection:
        for one in lineage(kind):
            found = one.cadence.enrol(connection, one, now, catchup_days)
    return found


def lineage(kind: Kind) -> Iterator[Kind]:
    """Yield the kinds that `kind` waits for, the first of them first, and then `kind`."""
    if kind.cadence.after is not None:
        yield from lineage(kind.cadence.after)
    yield kind


def ready_count(connection: Connection, kind: Kind, now: datetime) -> int:
    """Return how many rows of `kind` may be claimed now; what is paused is not counted."""
    free = free_now(connection, kind.name)
    if free is None:
        return 0
    return int(
        connection.execute(
            select(func.count()).where(ledger.c.kind == kind.name, ledger.c.ready_at <= now, free)
        ).scalar_one()
    )


def waiting_count(connection: Connection, kind: Kind) -> int:
    """Return how many rows of `kind` wait for another kind."""
    return int(
        connection.execute(
            select(func.count()).where(
                ledger.c.kind == kind.name, ledger.c.state == DEFERRED, ledger.c.ready_at.is_(None)
            )
        ).scalar_one()
    )
