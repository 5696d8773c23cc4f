"""Opens the database in the one way that both dialects need, and hands out transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from selo_dagster.errors import SeloError
from selo_dagster.tracing.spans import told_when_over

BUSY_TIMEOUT_MS = 30_000
_READ_ONLY = "selo_read_only"

_POSTGRESQL: dict[str, str | int] = {
    "application_name": "selo_dagster",
    "connect_timeout": 10,
    # In UTC, so that instants near the year 1 do not leave the driver's calendar. A process that was stopped, or a
    # machine that was lost, in the middle of a transaction must not keep its rows from everybody else.
    "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def normalised_url(url: str) -> URL:
    """Return `url` with the installed driver: psycopg2 for PostgreSQL, the standard library's for SQLite.

    Raises SeloError `database_url` for anything else; the message never holds the address.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SeloError("database_url", "DATABASE_URL is not an address such as postgresql://user@host/name") from None
    backend = parsed.get_backend_name()
    if backend in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg2")
    if backend == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise SeloError("database_url", "SQLite in memory cannot be shared between processes: name a file")
        return parsed.set(drivername="sqlite+pysqlite")
    raise SeloError("database_url", f"DATABASE_URL names {backend!r}: only postgresql and sqlite are supported")


class Store:
    """One database. `read` and `write` are the only ways to a connection, one transaction each."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.url = normalised_url(url)
        self.engine: Engine = _engine(self.url, pool_size)
        self._reader = self.engine.execution_options(**self._read_options())

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    def _read_options(self) -> dict[str, Any]:
        if self.engine.dialect.name == "postgresql":
            return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return {_READ_ONLY: True}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction that sees one snapshot."""
        with self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end and rolled back by any exception."""
        with told_when_over(), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _engine(url: URL, pool_size: int) -> Engine:
    # Parameters are people's words: they must not appear in an exception's text.
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=pool_size,
            connect_args=_POSTGRESQL,
            # Many rows in one round trip, also where each needs a statement of its own; it gives no row count.
            executemany_mode="values_plus_batch",
            executemany_batch_page_size=500,
        )
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True, pool_size=pool_size, max_overflow=pool_size)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin by itself: savepoints would silently survive a rollback.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    # A writer takes the lock at once: a read transaction that starts to write late fails as busy.
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
