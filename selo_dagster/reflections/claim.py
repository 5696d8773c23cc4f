"""Claims on the ledger: a lease by the database's clock, and an epoch that fences whoever lost it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, delete, insert, or_, select, true, tuple_, update

from selo_dagster.llm.breaker import Place
from selo_dagster.llm.budgets.calls import give_back
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.pauses import free_now
from selo_dagster.reflections.states import CLAIMED, DEAD, DUE
from selo_dagster.reflections.tables import reflection_attempts, reflection_ledger
from selo_dagster.reflections.turns import Turns, first_of_each
from selo_dagster.store.alert_signals import Signal, signal
from selo_dagster.store.job_runs import note_lost
from selo_dagster.store.types import database_now

ALONE_AFTER_LOST: Final = 2
"""After so many lost claims a person is claimed alone: whatever kills the process hurts nobody else."""

DEAD_AFTER_LOST: Final = 3

RUNNING: Final = "running"
LOST: Final = "lost"
RELEASED: Final = "released"

ledger = reflection_ledger


@dataclass(frozen=True)
class Claim:
    """One obligation in the hands of one run. epoch: proves that it still is. forgiven: attempts that count no more."""

    id: int
    user_id: str
    kind: str
    on: date
    key: str
    since: datetime
    version: int
    epoch: int
    attempts: int
    forgiven: int = 0
    cause: dict[str, Any] | None = None
    evolve: bool = False


@dataclass(frozen=True)
class OldestFirst:
    """The order after an outage: by when they came due. after: first those behind this place, then from the beginning.

    Whatever fails whenever it is asked for must not stand in front of all the others for ever.
    """

    after: Place | None = None

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What to order by."""
        row = ledger.c
        if self.after is None:
            return [row.since, row.id]
        behind = or_(row.since > self.after.since, and_(row.since == self.after.since, row.id > self.after.id))
        return [case((behind, 0), else_=1), row.since, row.id]


def take_back_expired(connection: Connection, kind: Kind, now: datetime) -> int:
    """Make rows due again whose holder let the lease run out; returns how many. Three times lost is dead.

    Lost is whatever a run had begun; where it had begun nothing of what it held, all of that: something there may have
    ended it before it could begin, and would end the next one as well.
    """
    expired = (
        select(ledger.c.id, ledger.c.run_id, ledger.c.epoch)
        .where(ledger.c.kind == kind.name, ledger.c.state == CLAIMED, ledger.c.lease_until < database_now())
        .order_by(ledger.c.id)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(expired).all()
    if not found:
        return 0
    ids = [row.id for row in found]
    note_lost(connection, (row.run_id for row in found))
    lost = (
        update(reflection_attempts)
        .where(reflection_attempts.c.ledger_id.in_(ids), reflection_attempts.c.outcome == RUNNING)
        .values(outcome=LOST, ended_at=database_now())
    )
    begun = set(connection.execute(lost.returning(reflection_attempts.c.ledger_id)).scalars())
    began = {row.run_id for row in found if row.id in begun}
    suspects = [row.id for row in found if row.id in begun or row.run_id not in began]
    connection.execute(update(ledger).where(ledger.c.id.in_(suspects)).values(lost=ledger.c.lost + 1))
    connection.execute(
        update(ledger)
        .where(ledger.c.id.in_(ids), ledger.c.lost < DEAD_AFTER_LOST)
        .values(state=DUE, reason=None, ready_at=ledger.c.since, lease_until=None)
    )
    dead = connection.execute(
        update(ledger)
        .where(ledger.c.id.in_(ids), ledger.c.lost >= DEAD_AFTER_LOST)
        .values(state=DEAD, reason="lost_claims", ready_at=None, lease_until=None, settled_at=now)
        .returning(ledger.c.id)
    ).scalars()
    signal(connection, [Signal("dead", kind.name, {"row": row, "class": "lost_claims"}) for row in dead])
    give_back(connection, [owner_of(row.id, row.epoch) for row in found])
    return len(ids)


def owner_of(ledger_id: int, epoch: int) -> str:
    """Return the name under which a claim's calls of the model are reserved."""
    return f"reflection/{ledger_id}/{epoch}"


def claim(
    connection: Connection,
    kind: Kind,
    *,
    run_id: str,
    now: datetime,
    lease_s: float,
    limit: int,
    request_id: str | None = None,
    alone: bool = False,
    order: OldestFirst | None = None,
    turns: Turns | None = None,
) -> list[Claim]:
    """Claim up to `limit` rows that are ready, newest date first across everybody unless `order` says otherwise.

    request_id: only rows of that explicit request. alone: only rows whose claim was lost twice already, which
    the caller works on one at a time and with nothing else in its hands. What is paused stays where it is.
    turns: shares what is claimed between people and tenants; not with a request, whose rows somebody waits for.
    """
    free = free_now(connection, kind.name)
    if free is None:
        return []
    lost_often = ledger.c.lost >= ALONE_AFTER_LOST
    which = [lost_often if alone else ~lost_often, free]
    if request_id is not None:
        which.append(ledger.c.request_id == request_id)
    if alone or request_id is not None:
        turns = None
    if turns is not None:
        which += first_of_each(kind, now, turns.per_person, lost_below=ALONE_AFTER_LOST, by_age=order is not None)

    def ready(most: int, whose: ColumnElement[bool]) -> list[int]:
        return _ready(connection, kind, now, most, [*which, whose], order)

    chosen = ready(limit, true()) if turns is None else turns.choose(connection, limit, ready)
    if not chosen:
        return []
    rows = connection.execute(
        update(ledger)
        .where(ledger.c.id.in_(chosen))
        .values(
            state=CLAIMED,
            reason=None,
            ready_at=None,
            run_id=run_id,
            epoch=ledger.c.epoch + 1,
            lease_until=database_now(lease_s),
            settled_at=None,
            reported_by=None,
        )
        .returning(
            ledger.c.id,
            ledger.c.user_id,
            ledger.c.kind,
            ledger.c.on,
            ledger.c.key,
            ledger.c.since,
            ledger.c.version,
            ledger.c.epoch,
            ledger.c.attempts,
            ledger.c.forgiven,
            ledger.c.cause,
            ledger.c.evolve,
        )
    )
    place = {row_id: index for index, row_id in enumerate(chosen)}
    return sorted((Claim(*row) for row in rows), key=lambda claimed: place[claimed.id])


def _ready(
    connection: Connection,
    kind: Kind,
    now: datetime,
    limit: int,
    which: list[ColumnElement[bool]],
    order: OldestFirst | None,
) -> list[int]:
    return list(
        connection.execute(
            select(ledger.c.id)
            .where(ledger.c.kind == kind.name, ledger.c.ready_at.is_not(None), ledger.c.ready_at <= now, *which)
            .order_by(*([ledger.c.on.desc(), ledger.c.id] if order is None else order.columns))
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).scalars()
    )


def renew(connection: Connection, run_id: str, lease_s: float) -> int:
    """Push back the lease of what `run_id` holds; returns of how many rows.

    A row that somebody is changing at this moment is left out: the others' leases must not wait for it, and nobody can
    take it over meanwhile.
    """
    held = select(ledger.c.id).where(ledger.c.run_id == run_id, ledger.c.state == CLAIMED)
    return connection.execute(
        update(ledger)
        .where(ledger.c.id.in_(held.with_for_update(skip_locked=True)))
        .values(lease_until=database_now(lease_s))
    ).rowcount


def begin_attempts(connection: Connection, claims: list[Claim], run_id: str) -> list[Claim]:
    """Write one attempt for each claim, before the call that it counts.

    Returns the claims that still hold; one that was taken over meanwhile is left out.
    """
    if not claims:
        return []
    begun = set(
        connection.execute(
            update(ledger).where(_still_held(claims)).values(attempts=ledger.c.attempts + 1).returning(ledger.c.id)
        ).scalars()
    )
    held = [claimed for claimed in claims if claimed.id in begun]
    if held:
        connection.execute(
            insert(reflection_attempts),
            [{"ledger_id": one.id, "epoch": one.epoch, "number": one.attempts + 1, "run_id": run_id} for one in held],
        )
    return held


def _still_held(claims: list[Claim]) -> ColumnElement[bool]:
    return and_(
        tuple_(ledger.c.id, ledger.c.epoch).in_(sorted((one.id, one.epoch) for one in claims)),
        ledger.c.state == CLAIMED,
    )


def release(connection: Connection, claims: list[Claim]) -> int:
    """Give back claims that were not worked on, or were interrupted; returns how many rows became due."""
    if not claims:
        return 0
    attempts = reflection_attempts.c
    connection.execute(
        update(reflection_attempts)
        .where(
            tuple_(attempts.ledger_id, attempts.epoch).in_(sorted((one.id, one.epoch) for one in claims)),
            attempts.outcome == RUNNING,
        )
        .values(outcome=RELEASED, ended_at=database_now())
    )
    return connection.execute(
        update(ledger).where(_still_held(claims)).values(state=DUE, ready_at=ledger.c.since, lease_until=None)
    ).rowcount


def park(connection: Connection, one: Claim, calls: int) -> bool:
    """Give back a claim whose call found no server: due as before, and the attempt does not count.

    calls: requests that it took, which the row keeps. False: the claim was lost.
    """
    back = {"state": DUE, "ready_at": ledger.c.since, "lease_until": None}
    return bool(unbegin(connection, [one], back | {"model_calls": ledger.c.model_calls + calls}))


def unbegin(connection: Connection, claims: list[Claim], changes: Mapping[str, Any]) -> int:
    """Take attempts back that were begun: none of them counts. Returns how many claims still hold.

    changes: of their rows besides.
    """
    held = connection.execute(
        update(ledger).where(_still_held(claims)).values(attempts=ledger.c.attempts - 1, **changes)
    ).rowcount
    attempts = reflection_attempts.c
    connection.execute(
        delete(reflection_attempts).where(
            tuple_(attempts.ledger_id, attempts.epoch).in_(sorted((one.id, one.epoch) for one in claims)),
            attempts.outcome == RUNNING,
        )
    )
    return held
