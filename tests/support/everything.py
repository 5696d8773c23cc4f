"""A person who has a row in every table that knows people: a new table is filled too, or says what it needs."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, Date, Float, Integer, String, Table, insert, select, types

import selo_dagster.definitions  # every room registers its tables
from selo_dagster.people.tables import users
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.store.types import UTCDateTime
from tests.support.fakes import NOW

assert selo_dagster.definitions.defs is not None

ABOUT_NOBODY = frozenset(
    {
        "alert_notices",
        "alert_signals",
        "alerts",
        "erased_people",
        "evaluations",
        "heartbeats",
        "idempotency_keys",
        "job_runs",
        "model_endpoints",
        "resource_guard",
        "resource_samples",
        "retired_obligations",
        "saga_definitions",
        "spending_days",
        "stream_positions",
        "trigger_counts",
    }
)
"""Tables whose rows are about no person."""

_LISTED = re.compile(r"(\w+) IN \('(\w+)'")


def fill(connection: Connection, user_id: str, text: str) -> None:
    """Insert a person with a row in every table; `text` stands in every column that takes words."""
    made: dict[str, dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        if table.name in ABOUT_NOBODY:
            continue
        row = {column.name: _value(column, user_id, text, made) for column in table.columns if not _numbered(column)}
        # The row apart from the statement: it is compiled once for all rows.
        done = connection.execute(insert(table), row)
        keys = dict(zip((column.name for column in table.primary_key), done.inserted_primary_key or (), strict=True))
        made[table.name] = row | keys


def _numbered(column: Column[Any]) -> bool:
    return column.primary_key and column.autoincrement is True


def _value(column: Column[Any], user_id: str, text: str, made: dict[str, dict[str, Any]]) -> Any:
    for key in column.foreign_keys:
        return made[key.column.table.name][key.column.name]
    if column.table is users and column.name in {"id", "key"}:
        return user_id
    if column.name == "lease_until":
        # Whatever looks for leases that ran out would change the row.
        return None
    return _allowed(column) or _of_type(column, user_id, text)


def _of_type(column: Column[Any], user_id: str, text: str) -> Any:
    unique = hashlib.sha256(f"{user_id}/{column.table.name}/{column.name}".encode()).hexdigest()
    one_of_many = column.primary_key or column.unique
    words = f"{unique[:12]} {text} {user_id}" if one_of_many else f"{text} {user_id}"
    values: dict[type[types.TypeEngine[Any]], Any] = {
        String: "Europe/Lisbon" if column.name == "zone" else words[: getattr(column.type, "length", None)],
        UTCDateTime: NOW,
        Date: date(2026, 11, 22),
        Float: 0.5,
        types.Boolean: False,
        types.JSON: [] if column.name == "levels" else {"words": words},
        Integer: int(unique[:7], 16) if one_of_many else 1,
    }
    for kind, value in values.items():
        if isinstance(column.type, kind):
            return value
    raise AssertionError(f"say what stands in {column}: {column.type}")


@cache
def _allowed(column: Column[Any]) -> str | None:
    """Return the first value that a check of the table allows; None: there is no such check."""
    for rule in column.table.constraints:
        found = _LISTED.match(str(rule.sqltext)) if isinstance(rule, CheckConstraint) else None
        if found and found[1] == column.name:
            return found[2]
    return None


def everything(store: Store, tables: list[Table] | None = None) -> dict[str, list[str]]:
    """Return every row of every table as text."""
    with store.read() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in tables or metadata.sorted_tables
        }
