"""Ends whatever is under way or queued for a person: who holds it finds itself fenced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, select, text, update

from selo_dagster.errors import SeloError
from selo_dagster.people.footprint import Footprint
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.states import CANCELLED as TAKEN_BACK
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DUE, FAILED, REJECTED, SKIPPED, WAITING, Reason
from selo_dagster.reflections.tables import reflection_ledger, reflection_one_offs
from selo_dagster.sagas.claim import held_of
from selo_dagster.sagas.journal import end
from selo_dagster.sagas.states import CANCELLED, ENDED
from selo_dagster.sagas.tables import saga_locks, sagas

REASON: Final = "erased"
OPEN: Final = (DUE, CLAIMED, DEFERRED, FAILED, REJECTED)
"""States of the ledger out of which an obligation can still be worked on."""


class ObstacleError(SeloError):
    """Something in the database forbids to delete a person's rows, or would take others' with them."""


@dataclass(frozen=True)
class Work:
    """How much was under way or queued."""

    sagas: int = 0
    reflections: int = 0
    one_offs: int = 0


def end_work(connection: Connection, user_id: str, saga_id: str, now: datetime) -> Work:
    """End everything that is under way or queued for a person, except one saga. Locks in the order of who settles."""
    reflections = _end_reflections(connection, user_id, saga_id, now)
    one_offs = _end_one_offs(connection, user_id)
    return Work(_end_sagas(connection, user_id, saga_id, now), reflections, one_offs)


def _end_reflections(connection: Connection, user_id: str, by: str, now: datetime) -> int:
    # by: stands in the rows as the run that has shown them, so that none does.
    ledger = reflection_ledger.c
    return connection.execute(
        update(reflection_ledger)
        .where(ledger.user_id == user_id, ledger.state.in_(OPEN))
        .values(
            state=SKIPPED,
            reason=Reason.INACTIVE,
            epoch=ledger.epoch + 1,
            ready_at=None,
            lease_until=None,
            settled_at=now,
            reported_by=by,
        )
    ).rowcount


def _end_one_offs(connection: Connection, user_id: str) -> int:
    one_offs = reflection_one_offs.c
    return connection.execute(
        update(reflection_one_offs)
        .where(one_offs.user_id == user_id, one_offs.state == WAITING)
        .values(state=TAKEN_BACK)
    ).rowcount


def _end_sagas(connection: Connection, user_id: str, but: str, now: datetime) -> int:
    # Whatever they wait for, and without an undo: what they changed is deleted with everything else.
    rows = connection.execute(
        select(sagas)
        .where(sagas.c.user_id == user_id, sagas.c.id != but, sagas.c.state.not_in(ENDED))
        .order_by(sagas.c.id)
        .with_for_update()
    ).all()
    for row in rows:
        end(connection, held_of(row), CANCELLED, now, reason=REASON, epoch=sagas.c.epoch + 1)
    connection.execute(delete(saga_locks).where(saga_locks.c.user_id == user_id, saga_locks.c.saga_id != but))
    return len(rows)


def tombstone(connection: Connection, user_id: str) -> str:
    """Shut the door behind a person; returns the partition key. Raises SeloError `unknown_user`."""
    key: str | None = connection.execute(
        update(users).where(users.c.id == user_id).values(state=TOMBSTONED).returning(users.c.key)
    ).scalar()
    if key is None:
        raise SeloError("unknown_user", "there is nobody like that any more")
    return key


def hand_over(connection: Connection, user_id: str) -> int:
    """Give conversations in which others write too to one of them; returns how many. Only other writers make such."""
    shared = text(
        "UPDATE conversations SET user_id = (SELECT min(m.user_id) FROM messages AS m "
        "WHERE m.conversation_id = conversations.id AND m.user_id <> :person) "
        "WHERE user_id = :person AND EXISTS (SELECT 1 FROM messages AS m "
        "WHERE m.conversation_id = conversations.id AND m.user_id <> :person)"
    )
    return connection.execute(shared, {"person": user_id}).rowcount


def require_free(connection: Connection, footprint: Footprint, user_id: str) -> None:
    """Raise ObstacleError `held_elsewhere` or `entangled` unless the person's rows can go, and alone."""
    held = footprint.rows_that_hold(connection, user_id)
    if held:
        raise ObstacleError(
            "held_elsewhere",
            f"rows of {_told(held)} rest on this person's and keep them from being deleted: delete those first, or "
            "give their foreign keys ON DELETE CASCADE",
        )
    others = footprint.others_rows(connection, user_id)
    if others:
        raise ObstacleError(
            "entangled",
            f"rows of other people in {_told(others)} would be deleted with this person's: let them rest on something "
            "of their own first",
        )


def _told(rows: dict[str, int]) -> str:
    return ", ".join(f"{table} ({number})" for table, number in rows.items())
