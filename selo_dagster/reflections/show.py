"""Everything about one person that reflections know, for people and programs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.people.persona import traits_of
from selo_dagster.reflections.questions.queue import listed
from selo_dagster.reflections.tables import mantras, reflections

MANTRAS_SHOWN = 7
"""Former lines that are shown beside the present one."""


def shown(connection: Connection, user_id: str, key: str, *, kind: str | None, limit: int) -> dict[str, Any]:
    """Return a person's newest reflections with their evidence, and their persona, ready for JSON."""
    chosen = [] if kind is None else [reflections.c.kind == kind]
    rows = connection.execute(
        select(reflections)
        .where(reflections.c.user_id == user_id, *chosen)
        .order_by(reflections.c.on.desc(), reflections.c.created_at.desc(), reflections.c.version.desc())
        .limit(limit)
    )
    return {
        "user": user_id,
        "key": key,
        "reflections": [_reflection(row) for row in rows],
        "mantra": _mantra(connection, user_id),
        "questions": listed(connection, user_id, all_states=False, limit=limit),
        "persona": {
            "traits": [
                {"name": trait.name, "category": trait.category, "value": trait.value}
                for trait in traits_of(connection, [user_id])[user_id]
            ]
        },
        "goals": [],
        "episodes": [],
    }


def _mantra(connection: Connection, user_id: str) -> dict[str, Any] | None:
    rows = connection.execute(
        select(mantras)
        .where(mantras.c.user_id == user_id)
        .order_by(mantras.c.on.desc(), mantras.c.version.desc())
        .limit(MANTRAS_SHOWN + 1)
    ).all()
    if not rows:
        return None
    newest, *former = rows
    return {
        "text": newest.text,
        "on": newest.on,
        "version": newest.version,
        "evidence": [f"reflection:{newest.reflection_id}"],
        "model": newest.model,
        "created_at": newest.created_at,
        "history": [{"text": row.text, "on": row.on, "version": row.version} for row in former],
    }


def _reflection(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "on": row.on,
        "version": row.version,
        "content": row.content,
        "themes": row.themes,
        "insights": row.insights,
        "actions": row.actions,
        "emotional_state": row.emotional_state,
        "trait_changes": row.trait_changes,
        "model": row.model,
        "timezone": row.zone,
        "zone_rules": row.zone_rules,
        "window": [row.window_start, row.window_end],
        "created_at": row.created_at,
    }
