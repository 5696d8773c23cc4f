"""The goals that a reflection is shown: the newest that are open."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert

from selo_dagster.people.goals import ACTIVE, CANCELLED, REACHED, SHOWN, goals, open_goals
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person


def add_goal(store: Store, user_id: str, title: str, *, age_h: int = 0, state: str = ACTIVE) -> None:
    """Add a goal that was made some hours ago."""
    with store.write() as connection:
        connection.execute(
            insert(goals).values(
                id=f"{user_id}-{title}",
                user_id=user_id,
                title=title,
                description="d",
                origin="o",
                priority=0.5,
                state=state,
                created_at=NOW - timedelta(hours=age_h),
            )
        )


def test_the_newest_open_goals_of_each_person_are_shown_and_of_nobody_else(store: Store) -> None:
    for name in ("ana", "ben", "cy"):
        add_person(store, name)
    for age in range(SHOWN + 2):
        add_goal(store, "ana", f"g{age}", age_h=age)
    add_goal(store, "ana", "over", state=REACHED)
    add_goal(store, "ana", "dropped", state=CANCELLED)
    add_goal(store, "ben", "his own")
    with store.read() as connection:
        found = open_goals(connection, ["ana", "cy"])
    assert found == {"ana": tuple(f"g{age}" for age in range(SHOWN))}
