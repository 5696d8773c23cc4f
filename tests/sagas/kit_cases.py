"""What the kit is given for each definition that there is: a valid input, and the world that it may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, insert, update

from selo_dagster.people.goals import ACTIVE, CANCELLED, goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.notices import companion_notices
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW
from tests.support.notice_server import NoticeServer

REFLECTION = "r1"


def add_reflection(store: Store, user_id: str, reflection_id: str = REFLECTION) -> None:
    """Add a reflection of a person."""
    with store.write() as connection:
        connection.execute(
            insert(reflections).values(
                id=reflection_id,
                user_id=user_id,
                kind="daily",
                on=date(2026, 11, 22),
                key=reflection_id,
                version=1,
                content="a secret thought",
                themes=[],
                insights=[],
                actions=[],
                emotional_state={},
                trait_changes=[],
                model="fake",
                zone="UTC",
                zone_rules="UTC",
                window_start=NOW,
                window_end=NOW,
                input_hash="0" * 64,
                created_at=NOW,
            )
        )


def goal_creation(_server: NoticeServer) -> dict[str, Any]:
    """A goal in two steps; cancelled ones stay, and one that was worked on is not cancelled."""
    return {
        "given": {
            "title": "Learn to swim",
            "description": "Be at ease in deep water",
            "origin": "reflection:r1",
            "steps": ["Find a pool", "Take three lessons"],
        },
        "tables": (goals, goal_steps, relationship_questions),
        "residue": _cancelled,
        "disturb": _work_on_it,
    }


def _cancelled(table: str, row: Mapping[str, Any]) -> bool:
    return table in {"goals", "goal_steps"} and row["state"] == CANCELLED


def _work_on_it(connection: Connection) -> None:
    connection.execute(update(goals).where(goals.c.state == ACTIVE).values(progress=0.5, version=goals.c.version + 1))


def companion_notice(server: NoticeServer) -> dict[str, Any]:
    """A notice, which is taken back without a trace."""
    return {
        "given": {"reflection_id": REFLECTION},
        "tables": (companion_notices, reflections),
        "outside": lambda: sorted(server.told_and_there),
    }


CASES: Mapping[str, Callable[[NoticeServer], dict[str, Any]]] = {
    "goal_creation": goal_creation,
    "companion_notice": companion_notice,
}
