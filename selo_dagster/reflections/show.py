"""Everything about one person that reflections know, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from selo_dagster.memory.episodes import episode_sources, episodes
from selo_dagster.memory.learnings import learnings
from selo_dagster.people.evolution_tables import stale_marks
from selo_dagster.people.goals import CANCELLED, goal_steps, goals
from selo_dagster.people.persona_reading import persona_shown
from selo_dagster.reflections.questions.queue import listed
from selo_dagster.reflections.tables import mantras, reflections

MANTRAS_SHOWN = 7
"""Former lines that are shown beside the present one."""


def shown(
    connection: Connection,
    user_id: str,
    key: str,
    *,
    kind: str | None,
    limit: int,
    on: date | None = None,
    versions: Sequence[int] = (),
) -> dict[str, Any]:
    """Return a person's newest reflections with their evidence, persona, goals, episodes and more, ready for JSON.

    Of each reflection the version that holds, or those asked for.
    """
    chosen: list[ColumnElement[bool]] = [reflections.c.version.in_(versions) if versions else reflections.c.head]
    chosen += [] if kind is None else [reflections.c.kind == kind]
    chosen += [] if on is None else [reflections.c.on == on]
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
        "persona": persona_shown(connection, user_id),
        "goals": _goals(connection, user_id, limit),
        "episodes": _episodes(connection, user_id, limit),
        "learnings": _learnings(connection, user_id, limit),
        "stale": _stale(connection, user_id),
    }


def _goals(connection: Connection, user_id: str, limit: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(goals)
        .where(goals.c.user_id == user_id, goals.c.state != CANCELLED)
        .order_by(goals.c.created_at.desc(), goals.c.id)
        .limit(limit)
    ).all()
    steps: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(
        select(goal_steps)
        .where(goal_steps.c.goal_id.in_([row.id for row in rows]), goal_steps.c.state != CANCELLED)
        .order_by(goal_steps.c.goal_id, goal_steps.c.place)
    ):
        steps.setdefault(row.goal_id, []).append({"description": row.description, "state": row.state})
    return [
        {
            "id": row.id,
            "title": row.title,
            "description": row.description,
            "state": row.state,
            "progress": float(row.progress),
            "priority": float(row.priority),
            "evidence": [row.origin, *row.evidence],
            "tainted": row.tainted,
            "steps": steps.get(row.id, []),
            "created_at": row.created_at,
        }
        for row in rows
    ]


def _episodes(connection: Connection, user_id: str, limit: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(episodes)
        .where(episodes.c.user_id == user_id)
        .order_by(episodes.c.ends_at.desc(), episodes.c.id)
        .limit(limit)
    ).all()
    sources: dict[str, list[str]] = {}
    for row in connection.execute(
        select(episode_sources)
        .where(episode_sources.c.episode_id.in_([row.id for row in rows]))
        .order_by(episode_sources.c.source, episode_sources.c.source_id)
    ):
        sources.setdefault(row.episode_id, []).append(f"{row.source}:{row.source_id}")
    return [
        {
            "id": row.id,
            "title": row.title,
            "narrative": row.narrative,
            "words": row.words,
            "emotion": row.emotion,
            "themes": row.themes,
            "importance": float(row.importance),
            "evidence": sources.get(row.id, []),
            "citations": row.citations or [],
            "begins_at": row.begins_at,
            "ends_at": row.ends_at,
            "model": row.model,
            "tainted": row.tainted,
        }
        for row in rows
    ]


def _learnings(connection: Connection, user_id: str, limit: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(learnings)
        .where(learnings.c.user_id == user_id)
        .order_by(learnings.c.created_at.desc(), learnings.c.id)
        .limit(limit)
    )
    return [
        {
            "id": row.id,
            "content": row.content,
            "domain": row.domain,
            "confidence": float(row.confidence),
            "importance": float(row.importance),
            "source": row.source,
            "evidence": row.evidence,
            "citations": row.citations or [],
            "model": row.model,
            "tainted": row.tainted,
        }
        for row in rows
    ]


def _stale(connection: Connection, user_id: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(stale_marks)
        .where(stale_marks.c.user_id == user_id)
        .order_by(stale_marks.c.marked_at.desc(), stale_marks.c.derived)
    )
    return [{"derived": row.derived, "because": row.because, "since": row.marked_at} for row in rows]


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
        "tainted": newest.tainted,
        "created_at": newest.created_at,
        "history": [{"text": row.text, "on": row.on, "version": row.version} for row in former],
    }


def _reflection(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "on": row.on,
        "version": row.version,
        "head": row.head,
        "parents": row.parents,
        "content": row.content,
        "themes": row.themes,
        # Those from before quotes were kept have none.
        "insights": [{"citations": [], **one} for one in row.insights],
        "actions": row.actions,
        "emotional_state": row.emotional_state,
        "trait_changes": row.trait_changes,
        "model": row.model,
        "tainted": row.tainted,
        "timezone": row.zone,
        "zone_rules": row.zone_rules,
        "window": [row.window_start, row.window_end],
        "created_at": row.created_at,
        "input_hash": row.input_hash,
    }
