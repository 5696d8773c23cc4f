"""The demo's broken saga: its last step finds its place taken, and the steps before it are undone."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import dagster as dg
from sqlalchemy import delete, insert

from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.engine import token_text
from selo_dagster.sagas.given import id_from
from selo_dagster.sagas.launch import work_off_in
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.shown import saga_shown
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.states import FORWARD, PENDING
from selo_dagster.store.engine import Store

KEY: Final = "demo"
GOAL: Final = {
    "title": "Visit the new ward together",
    "description": "Made by the demo, to be undone.",
    "origin": "demo",
    "steps": ["Ask which ward it is", "Choose a day"],
}


def break_one(store: Store, instance: dg.DagsterInstance, user_id: str, now: datetime) -> dict[str, Any]:
    """Let a goal_creation break at its last step and be undone; returns it as `selo saga show` does.

    Somebody else's row stands where the question would be written: the database refuses it. It is there only for
    that long.
    """
    saga = registry().type("goal_creation")
    with store.write() as connection:
        started = start(connection, saga, user_id=user_id, key=KEY, given=GOAL, now=now, new_id=random_id)
    if started.state == PENDING:
        taken = id_from(token_text(started.id, 1, "ask", FORWARD))
        with store.write() as connection:
            connection.execute(
                insert(relationship_questions).values(
                    id=taken,
                    user_id=user_id,
                    on=now.date(),
                    question="Is this place taken?",
                    topic="demo",
                    priority=5,
                    evidence=[],
                    state="expired",
                    available_at=now,
                    expires_at=now,
                    created_at=now,
                    model="demo",
                )
            )
        try:
            work_off_in(store, instance, saga.name, now.isoformat())
        finally:
            with store.write() as connection:
                connection.execute(delete(relationship_questions).where(relationship_questions.c.id == taken))
    with store.read() as connection:
        return saga_shown(connection, registry(), started.id)
