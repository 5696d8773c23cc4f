"""Deletes the person's own row, in one transaction with the proof that nothing is left and the report that says so."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, text, update

from selo_dagster.errors import SeloError
from selo_dagster.llm.budgets.tables import spending_calls, spending_people
from selo_dagster.memory.stream import lock_stream
from selo_dagster.people.erased import foreign_key_id, wrong_key
from selo_dagster.people.erased_tables import erased_people
from selo_dagster.people.erasure_key import ErasureKey, erasure_key, made_erasure_key
from selo_dagster.people.footprint import Footprint
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.sagas.erasure.ending import hand_over, require_free
from selo_dagster.sagas.erasure.removing import RowsLeftError
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.upsert import insert_or_update

TOMBSTONE: Final = "erased-"
"""With the saga's id it makes the id of a person of no properties, whom the journal of the erasure is about."""


LATE_ROUNDS: Final = 100
"""Statements' worth of rows that may have come late; more is left to another try, and counts as left."""


def key_for(connection: Connection, key_id: str | None = None) -> ErasureKey:
    """Return this installation's key; makes one where there is none, unless a certain one is wanted.

    Nobody is erased under a second key: then neither would tell all of them. Raises SeloError `erasure_key`.
    """
    settings = process_settings()
    key = made_erasure_key(settings) if key_id is None else erasure_key(settings)
    if key is None or key_id not in {None, key.id}:
        raise wrong_key(str(key_id))
    foreign = foreign_key_id(connection, key)
    if foreign is not None:
        raise wrong_key(foreign)
    return key


def take_away(connection: Connection, user_id: str, saga_id: str) -> dict[str, int]:
    """Delete a person and whatever is left of them, and prove it; returns how many other rows, by table.

    The saga becomes one of its tombstone. Raises SeloError `unknown_user`, ObstacleError, RowsLeftError.
    """
    # Readers of the stream write for whomever they read of: none of them is in the middle of it now.
    lock_stream(connection)
    _wait_for_calls(connection, user_id)
    locked = select(users.c.id).where(users.c.id == user_id).with_for_update()
    if connection.execute(locked).scalar() is None:
        raise SeloError("unknown_user", "there is nobody like that any more")
    _become_nobodys(connection, saga_id)
    hand_over(connection, user_id)
    footprint = Footprint.of(connection)
    require_free(connection, footprint, user_id)
    gone: Counter[str] = Counter()
    for _ in range(LATE_ROUNDS):
        rows = footprint.delete(connection, user_id).rows
        if not rows:
            break
        gone.update(rows)
    connection.execute(delete(users).where(users.c.id == user_id))
    if footprint.count(connection, user_id):
        raise RowsLeftError
    return dict(gone)


def _wait_for_calls(connection: Connection, user_id: str) -> None:
    """Lock what late calls lock, in their order: who counts one holds it before the sums, who reserves holds the sums
    before the person.
    """
    for table in (spending_calls, spending_people):
        theirs = select(table.c.day).where(table.c.user_id == user_id).order_by(*table.primary_key)
        connection.execute(theirs.with_for_update())


def _become_nobodys(connection: Connection, saga_id: str) -> None:
    nobody = f"{TOMBSTONE}{saga_id}"
    connection.execute(insert(users).values(id=nobody, key=nobody, name=TOMBSTONE, zone="UTC", state=TOMBSTONED))
    connection.execute(update(sagas).where(sagas.c.id == saga_id).values(user_id=nobody))
    connection.execute(
        update(saga_interventions)
        .where(saga_interventions.c.saga_id == saga_id)
        .values(because="not kept: it may have named the person")
    )


def keep_report(
    connection: Connection, key: ErasureKey, user_id: str, saga_id: str, report: str, now: datetime
) -> None:
    """Remember that an id was erased, by its digest."""
    row: dict[str, Any] = {
        "digest": key.digest(user_id),
        "key_id": key.id,
        "saga_id": saga_id,
        "erased_at": now,
        "report": report,
    }
    insert_or_update(connection, erased_people, [row])


def renew_report(connection: Connection, saga_id: str, report: str) -> None:
    """Put a later report in the place of the first; somebody who was readmitted meanwhile is not among the erased."""
    connection.execute(update(erased_people).where(erased_people.c.saga_id == saga_id).values(report=report))


def transaction_id(connection: Connection) -> str | None:
    """Return the number of this transaction of PostgreSQL: snapshots are compared with it. SQLite has none."""
    if connection.dialect.name != "postgresql":
        return None
    return str(connection.execute(text("SELECT pg_current_xact_id()::text")).scalar_one())
