"""Finds a person by what commands are given: the id, or the partition key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.people.tables import users


def lookup(connection: Connection, who: str) -> Any:
    """Return (id, key) of a person named by id or by key, the id first; None where there is nobody."""
    return connection.execute(
        select(users.c.id, users.c.key)
        .where((users.c.id == who) | (users.c.key == who))
        .order_by((users.c.id == who).desc())
        .limit(1)
    ).one_or_none()
