"""The operator's desk, with the definitions of a registry."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.registry import Registry


def open_desk(connection: Connection, known: Registry, now: datetime, actor: str, because: str) -> Desk:
    """Return a desk in the caller's transaction. Raises SeloError `wrong_use` without a name and a reason."""
    return Desk(connection, now, lambda name, version: definition_of(known, name, version), actor, because)
