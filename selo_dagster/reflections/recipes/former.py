"""Former reflections, as sources of later ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from selo_dagster.people.history import chunked
from selo_dagster.reflections.context import Source
from selo_dagster.reflections.recipes.sources import EARLIER_CHARACTERS, SOURCE_CHARACTERS
from selo_dagster.reflections.tables import reflections


def heads_of(connection: Connection, kind: str, user_ids: Sequence[str], first: date, last: date) -> list[Any]:
    """Return the reflections of a kind that hold, with a date from `first` to `last`, oldest date first."""
    found: list[Any] = []
    for part in chunked(sorted(set(user_ids))):
        found += connection.execute(
            select(
                reflections.c.id,
                reflections.c.user_id,
                reflections.c.on,
                reflections.c.window_end,
                reflections.c.themes,
                reflections.c.tainted,
                func.substr(reflections.c.content, 1, SOURCE_CHARACTERS).label("text"),
            )
            .where(
                reflections.c.kind == kind,
                reflections.c.user_id.in_(part),
                reflections.c.on.between(first, last),
                reflections.c.head,
            )
            .order_by(reflections.c.user_id, reflections.c.on)
        ).all()
    return found


def source_of(row: Any) -> Source:
    """Return a former reflection as a source; it stands at the last instant of what it covered."""
    at = row.window_end - timedelta(microseconds=1)
    return Source("reflection", row.id, row.text, at, tags=tuple(row.themes), tainted=row.tainted)


def earlier_texts(connection: Connection, user_id: str, before: Any, limit: int) -> tuple[str, ...]:
    """Return the texts of a person's newest reflections of any kind that were made before an instant."""
    return tuple(
        connection.execute(
            select(func.substr(reflections.c.content, 1, EARLIER_CHARACTERS))
            .where(reflections.c.user_id == user_id, reflections.c.window_end <= before, reflections.c.head)
            .order_by(reflections.c.window_end.desc(), reflections.c.created_at.desc())
            .limit(limit)
        ).scalars()
    )
