"""Many rows at once, on both databases: finding those with given keys, and inserting."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, String, any_, bindparam, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

Rows = Sequence[Sequence[Any]]

_PAGES: Final = (512, 64, 8, 1)
"""Rows in one statement. Few sizes: the driver keeps each statement prepared, which takes memory."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def among(connection: Connection, column: Column[str], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that `column` is one of `values`, however many: they travel as one."""
    chosen = sorted(values)
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam("chosen", chosen, type_=ARRAY(String), unique=True))
    text = bindparam("chosen", json.dumps(chosen), type_=String, unique=True)
    return column.in_(select(func.json_each(text).table_valued("value").c.value))


def insert_rows(connection: Connection, columns: Sequence[Column[Any]], rows: Rows) -> None:
    """Insert rows of values in the order of `columns`, all of one table.

    Columns that are left out need a default in the database itself. Raises SQLAlchemy's IntegrityError,
    DataError or DBAPIError.
    """
    prepared = _prepared(connection, columns, rows)
    table, names = columns[0].table.name, tuple(column.name for column in columns)
    if connection.dialect.name == "postgresql":
        _copy(connection, table, names, prepared)
        return
    # Not a statement a row: each that fires a trigger keeps a journal of every page that it touches.
    start = 0
    for size in _PAGES:
        while start + size <= len(prepared):
            page = chain.from_iterable(prepared[start : start + size])
            connection.exec_driver_sql(_statement(table, names, size), tuple(page))
            start += size


def _prepared(connection: Connection, columns: Sequence[Column[Any]], rows: Rows) -> list[Sequence[Any]]:
    # The types' own conversions, column by column: SQLAlchemy's way row by row costs as much as the insert.
    turned: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(columns):
        process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if process is not None:
            turned[place] = tuple(map(process, turned[place]))
    return list(zip(*turned, strict=True))


@lru_cache(maxsize=64)
def _statement(table: str, names: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(names))})"
    return f'INSERT INTO "{table}" ({_quoted(names)}) VALUES {", ".join([row] * count)}'


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _copy(connection: Connection, table: str, names: tuple[str, ...], rows: Rows) -> None:
    text = "".join("\t".join(map(_copied, row)) + "\n" for row in rows)
    statement = f'COPY "{table}" ({_quoted(names)}) FROM STDIN'
    dbapi: Any = connection.dialect.loaded_dbapi
    try:
        with connection.connection.cursor() as cursor:  # type: ignore[attr-defined]
            cursor.copy_expert(statement, io.StringIO(text), 1 << 18)
    except dbapi.Error as failed:
        kind = {dbapi.IntegrityError: IntegrityError, dbapi.DataError: DataError}
        known = next((ours for theirs, ours in kind.items() if isinstance(failed, theirs)), DBAPIError)
        raise known(statement, None, failed, hide_parameters=True) from None


def _copied(value: Any) -> str:
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if value is None:
        return "\\N"
    return value.isoformat() if isinstance(value, datetime) else repr(value)
