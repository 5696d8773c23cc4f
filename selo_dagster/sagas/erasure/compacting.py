"""Takes what was deleted out of the database's files.

SQLite: VACUUM writes the file anew, and the checkpoint empties the write-ahead log, so that neither holds anything of
what was deleted. PostgreSQL: VACUUM frees the rows once no snapshot sees them; what the write-ahead log, replicas and
backups hold is not in its power (docs/erasure.md).
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from sqlalchemy import Connection, select, text

from selo_dagster.people.footprint import Footprint
from selo_dagster.sagas.erasure.models import Compacted, Compacting
from selo_dagster.sagas.given import TransientError
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now

BUSY_S: Final = 5
"""How long is waited for others in one try."""

_POLL_S: Final = 0.02

_lock = threading.Lock()
_last: dict[str, tuple[Compacting, Compacted]] = {}
"""What this process did last, by the database's address: one time serves all of a cohort."""


def compact(store: Store, wanted: Compacting) -> Compacted:
    """Compact the database, unless this process has done it since these rows were deleted.

    Raises TransientError while others are in the way, and what the database raises.
    """
    with _lock:
        before = compacted_before(store, wanted)
        if before is not None:
            return before
        postgresql = store.dialect == "postgresql"
        done = _compact_postgresql(store, wanted) if postgresql else _compact_sqlite(store)
        _last[str(store.url)] = wanted, done
        return done


def compacted_before(store: Store, wanted: Compacting) -> Compacted | None:
    """Return what this process did that is enough for these rows; None: nothing that it remembers."""
    last, done = _last.get(str(store.url), (None, None))
    if last is None or done is None:
        return None
    if store.dialect == "postgresql":
        # Deleted in the same transaction, so the same snapshots could see them.
        same = last.transaction == wanted.transaction and wanted.deleted.keys() <= last.deleted.keys()
        return done if same else None
    return done if done.at > wanted.at else None


def _compact_sqlite(store: Store) -> Compacted:
    with store.read() as connection:
        began = connection.execute(select(database_now())).scalar_one()
    # Not a connection of SQLAlchemy's: it would begin a transaction, in which nothing can be vacuumed.
    pooled = store.engine.raw_connection()
    try:
        cursor = pooled.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000}")
        cursor.execute("VACUUM")
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        (free,) = cursor.execute("PRAGMA freelist_count").fetchone()
    finally:
        pooled.invalidate()
    if busy:
        raise TransientError("a reader keeps the write-ahead log from being emptied")
    return Compacted(database="sqlite", at=began, free_pages=free)


def _compact_postgresql(store: Store, wanted: Compacting) -> Compacted:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _wait_until_unseen(connection, str(wanted.transaction))
        began = connection.execute(select(database_now())).scalar_one()
        chosen = [table for table in Footprint.of(connection).tables if table in wanted.deleted]
        connection.execute(text(f"SET lock_timeout = '{BUSY_S}s'"))
        try:
            for table in chosen:
                _vacuum(connection, table)
        finally:
            connection.invalidate()
    return Compacted(database="postgresql", at=began, tables=len(chosen))


def _vacuum(connection: Connection, table: str) -> None:
    # The driver's own cursor: SQLAlchemy's takes the notices away.
    driver: Any = connection.connection.dbapi_connection
    del driver.notices[:]
    with driver.cursor() as cursor:
        cursor.execute(f"VACUUM {table}")
    if any(notice.startswith("WARNING") for notice in driver.notices):
        raise TransientError("a table was not vacuumed: it belongs to another role")


def _wait_until_unseen(connection: Connection, transaction: str) -> None:
    """Wait until no snapshot sees any more what a transaction has deleted. Raises TransientError after BUSY_S."""
    ends = time.monotonic() + BUSY_S
    older = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND age(backend_xmin) >= age(CAST(CAST(:transaction AS xid8) AS xid))"
    )
    while connection.execute(older, {"transaction": transaction}).scalar_one():
        if time.monotonic() >= ends:
            raise TransientError("a snapshot still sees what was deleted")
        time.sleep(_POLL_S)
