"""Marks what was made later from something that is undone now: to be looked at, or to be made again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, String, literal, select

from selo_dagster.memory.episodes import episodes
from selo_dagster.people.evolution_tables import persona_evolutions, stale_marks
from selo_dagster.reflections.tables import reflections
from selo_dagster.store.types import UTCDateTime
from selo_dagster.store.upsert import insert_missing_from


def mark_stale(connection: Connection, user_id: str, evolution_id: str, now: datetime) -> int:
    """Mark every reflection and episode of a person that was made since an evolution; returns how many are new."""
    since = connection.execute(
        select(persona_evolutions.c.created_at).where(persona_evolutions.c.id == evolution_id)
    ).scalar()
    if since is None:
        return 0
    marked = 0
    for name, table in (("reflection", reflections), ("episode", episodes)):
        later = select(
            table.c.user_id,
            literal(f"{name}:", String).concat(table.c.id).label("derived"),
            literal(f"evolution:{evolution_id}", String).label("because"),
            literal(now, UTCDateTime).label("marked_at"),
        ).where(table.c.user_id == user_id, table.c.created_at > since)
        marked += insert_missing_from(connection, stale_marks, ("user_id", "derived", "because", "marked_at"), later)
    return marked
