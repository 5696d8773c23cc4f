"""INSERT … ON CONFLICT, said once for both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table
from sqlalchemy.dialects import postgresql, sqlite

ROWS_A_STATEMENT = 500


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows that no unique key refuses; returns how many were new. All rows have the same columns."""
    added = 0
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        part = list(rows[start : start + ROWS_A_STATEMENT])
        added += connection.execute(_insert(connection, table).values(part).on_conflict_do_nothing()).rowcount
    return added


def insert_missing_uncounted(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows that no unique key refuses, many at a time: building one statement of them all costs more."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def insert_missing_from(connection: Connection, table: Table, columns: Sequence[str], rows: Select[Any]) -> int:
    """Insert what a SELECT gives, without the rows that a unique key refuses; returns how many were new."""
    statement = _insert(connection, table).from_select(list(columns), rows, include_defaults=False)
    return connection.execute(statement.on_conflict_do_nothing()).rowcount


def _insert(connection: Connection, table: Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def insert_or_update(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; where the primary key is taken, the row gets the new values. All rows have the same columns."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    changes = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))


def insert_or_add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of numbers; where the primary key is taken, they are added to what is there. All have all columns.

    Give them in the order of their keys: two who add to the same rows at once then wait for each other, no more.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    changes = {name: table.c[name] + statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))


def insert_or_lock(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> Sequence[Row[Any]]:
    """Return rows by their primary keys, locked until the end of the transaction; those that are missing are made.

    Both in one statement and in the order that is given, so that two who do it wait for each other, no more: a row that
    is made between looking and locking would be locked out of its turn.
    """
    return connection.execute(_locking(connection.dialect.name, table), list(rows)).all() if rows else []


@lru_cache
def _locking(dialect: str, table: Table) -> Any:
    """Return the statement of `insert_or_lock`, built once: building it costs more than sending it."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    keys = [column.name for column in table.primary_key]
    other = next(column for column in table.columns if column.name not in keys)
    return insert.on_conflict_do_update(index_elements=keys, set_={other.name: other}).returning(*table.c)
