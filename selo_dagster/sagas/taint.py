"""Whether what a saga makes is tainted: by the flag of what it was asked for by."""

from __future__ import annotations

from sqlalchemy import Connection, select

from selo_dagster.people.goals import goals
from selo_dagster.reflections.tables import reflections

_KNOWN = {"reflection": reflections, "goal": goals}


def is_tainted(connection: Connection, user_id: str, source: str) -> bool:
    """Tell whether a source such as `reflection:ID` or `goal:ID` is tainted; anything else is not."""
    kind, _, source_id = source.partition(":")
    table = _KNOWN.get(kind)
    if table is None:
        return False
    found = connection.execute(
        select(table.c.tainted).where(table.c.id == source_id, table.c.user_id == user_id)
    ).scalar()
    return bool(found)
