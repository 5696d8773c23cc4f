"""Claims on sagas: one direction, one person at a time, a lease by the database's clock, an epoch as fence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select, update

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.journal import HELD_STATE, Held, Token, let_go, raise_alert
from selo_dagster.sagas.states import CLAIMABLE, COMPENSATE, ENDED, FORWARD, PARKED
from selo_dagster.sagas.tables import saga_locks, sagas
from selo_dagster.sagas.traced import TURN, tell
from selo_dagster.store.job_runs import note_lost
from selo_dagster.store.types import database_now
from selo_dagster.store.upsert import insert_missing

ALONE_AFTER_LOST: Final = 2
PARKED_AFTER_LOST: Final = 3


def claimable(now: datetime, *, alone: bool | None = None, goes_first: bool = False) -> list[ColumnElement[bool]]:
    """Return the conditions on a saga that a run may take: free, its time has come, first in the person's queue.

    alone: only those that were lost twice (True), or only the others (False). goes_first: whatever is in the queue.
    """
    conditions: list[ColumnElement[bool]] = [
        sagas.c.state.in_(CLAIMABLE),
        sagas.c.lease_until.is_(None),
        or_(sagas.c.next_attempt_at.is_(None), sagas.c.next_attempt_at <= now),
        *([] if goes_first else _first_in_the_queue()),
    ]
    if alone is not None:
        lost = sagas.c.lost >= ALONE_AFTER_LOST
        conditions.append(lost if alone else ~lost)
    return conditions


def _first_in_the_queue() -> list[ColumnElement[bool]]:
    earlier, lock, own = sagas.alias(), saga_locks.alias(), saga_locks.alias()
    return [
        ~exists().where(lock.c.user_id == sagas.c.user_id, lock.c.saga_id != sagas.c.id),
        # One that was turned round after its end is earlier and open again: whoever is under way goes on first.
        or_(
            exists().where(own.c.saga_id == sagas.c.id),
            ~exists().where(
                earlier.c.user_id == sagas.c.user_id, earlier.c.place < sagas.c.place, earlier.c.state.not_in(ENDED)
            ),
        ),
    ]


def of_definition(saga: Saga) -> ColumnElement[bool]:
    """Return the condition that a row is of this type and version."""
    return and_(sagas.c.type == saga.name, sagas.c.version == saga.version)


def claimable_count(connection: Connection, saga: Saga, direction: str, now: datetime) -> int:
    """Return how many sagas of a definition could be claimed now in one direction."""
    return int(
        connection.execute(
            select(func.count())
            .select_from(sagas)
            .where(of_definition(saga), sagas.c.direction == direction, *claimable(now, goes_first=saga.goes_first))
        ).scalar_one()
    )


def claim(
    connection: Connection,
    saga: Saga,
    direction: str,
    *,
    run_id: str,
    now: datetime,
    lease_s: float,
    limit: int,
    ids: Sequence[str] | None = None,
    alone: bool = False,
) -> list[Token]:
    """Claim up to `limit` sagas in one direction, first come first served; returns their tokens.

    ids: only these. A person's lock is taken with the claim and kept until the saga has ended; one that goes first
    needs none. R4, R11.
    """
    named = [] if ids is None else [sagas.c.id.in_(sorted(ids))]
    conditions = claimable(now, alone=alone, goes_first=saga.goes_first)
    found = connection.execute(
        select(sagas.c.id, sagas.c.user_id)
        .where(of_definition(saga), sagas.c.direction == direction, *conditions, *named)
        .order_by(sagas.c.place)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not found:
        return []
    mine = [row.id for row in found] if saga.goes_first else _locked(connection, found)
    if not mine:
        return []
    rows = connection.execute(
        update(sagas)
        .where(sagas.c.id.in_(mine))
        .values(
            state=HELD_STATE[direction],
            run_id=run_id,
            epoch=sagas.c.epoch + 1,
            lease_until=database_now(lease_s),
            progressed=False,
            next_attempt_at=None,
            started_at=func.coalesce(sagas.c.started_at, database_now()),
            changed_at=database_now(),
        )
        .returning(sagas.c.place, sagas.c.id, sagas.c.epoch)
    )
    return [(row.id, row.epoch) for row in sorted(rows, key=lambda row: row.place)]


def _locked(connection: Connection, found: Sequence[Any]) -> list[str]:
    """Take the lock of each saga's person; returns those that have it."""
    insert_missing(connection, saga_locks, [{"user_id": row.user_id, "saga_id": row.id} for row in found])
    locked = set(
        connection.execute(
            select(saga_locks.c.saga_id).where(saga_locks.c.saga_id.in_([row.id for row in found]))
        ).scalars()
    )
    return [row.id for row in found if row.id in locked]


def renew(connection: Connection, run_id: str, lease_s: float) -> int:
    """Push back the lease of everything that a run holds; returns how many sagas that are."""
    return connection.execute(
        update(sagas)
        .where(sagas.c.run_id == run_id, sagas.c.lease_until.is_not(None))
        .values(lease_until=database_now(lease_s))
    ).rowcount


def held_by(connection: Connection, run_id: str) -> dict[str, list[Token]]:
    """Return what a run holds, by direction."""
    found: dict[str, list[Token]] = {FORWARD: [], COMPENSATE: []}
    rows = connection.execute(
        select(sagas.c.direction, sagas.c.id, sagas.c.epoch)
        .where(sagas.c.run_id == run_id, sagas.c.lease_until.is_not(None))
        .order_by(sagas.c.place)
    )
    for row in rows:
        found[row.direction].append((row.id, row.epoch))
    return found


def take_back_expired(connection: Connection) -> int:
    """Free sagas whose holder let the lease run out; three claims in a row without progress park one."""
    rows = select(sagas.c.run_id).where(sagas.c.run_id.is_not(None), sagas.c.lease_until < database_now()).distinct()
    if lost := list(connection.execute(rows).scalars()):
        note_lost(connection, lost)
    return _take_back(connection, sagas.c.lease_until < database_now())


def take_back_from(connection: Connection, run_ids: Sequence[str]) -> int:
    """Free what runs hold that are known to have ended."""
    return _take_back(connection, sagas.c.run_id.in_(sorted(run_ids))) if run_ids else 0


def take_back_these(connection: Connection, ids: Sequence[str]) -> int:
    """Free these sagas, whoever holds them."""
    return _take_back(connection, sagas.c.id.in_(sorted(ids))) if ids else 0


def _take_back(connection: Connection, chosen: ColumnElement[bool]) -> int:
    rows = connection.execute(
        select(sagas)
        .where(sagas.c.lease_until.is_not(None), chosen)
        .order_by(sagas.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return 0
    connection.execute(
        update(sagas)
        .where(sagas.c.id.in_([row.id for row in rows]))
        .values(
            lease_until=None,
            lost=case((sagas.c.progressed, 0), else_=sagas.c.lost + 1),
            takeovers=sagas.c.takeovers + 1,
            next_attempt_at=None,
            changed_at=database_now(),
        )
    )
    for row in rows:
        if not row.progressed and row.lost + 1 >= PARKED_AFTER_LOST:
            held = held_of(row)
            let_go(connection, held, state=PARKED, reason="lost_claims")
            raise_alert(connection, held, "parked", {"reason": "lost_claims", "lost": row.lost + 1})
            tell(connection, TURN, [held], state=PARKED, reason="lost_claims", code="lost_claims")
    return len(rows)


def held_of(row: Any) -> Held:
    """Return a whole row of `sagas`, which the caller has locked, as one that is held."""
    return Held(
        row.id,
        row.user_id,
        row.epoch,
        row.generation,
        row.input,
        row.created_at,
        row.deadline_at,
        row.cancel_requested,
        row.waits_since,
    )
