"""What the companion wants to reach with a person, and the steps to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
    select,
    text,
)

from selo_dagster.people.history import chunked
from selo_dagster.store.base import metadata, tainted, unit_interval
from selo_dagster.store.types import Document, Identifier, UTCDateTime

ACTIVE: Final = "active"
REACHED: Final = "reached"
CANCELLED: Final = "cancelled"
PENDING: Final = "pending"
DONE: Final = "done"

goals = Table(
    "goals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("origin", String(200), nullable=False, comment="what it came from, such as reflection:ID"),
    Column("priority", Float, nullable=False, comment="0-1"),
    Column("state", String(16), nullable=False),
    Column("progress", Float, nullable=False, server_default=text("0"), comment="0-1"),
    Column("version", Integer, nullable=False, server_default=text("1"), comment="changes so far"),
    Column("evidence", Document, nullable=False, server_default=text("'[]'"), comment="what else asked for it"),
    tainted(),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    CheckConstraint("state IN ('active', 'reached', 'cancelled')", name="state_known"),
    unit_interval("priority"),
    unit_interval("progress"),
    Index("ix_goals_user", "user_id", "state"),
)

goal_steps = Table(
    "goal_steps",
    metadata,
    Column("goal_id", String(32), ForeignKey("goals.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("description", Text, nullable=False),
    Column("state", String(16), nullable=False),
    CheckConstraint("state IN ('pending', 'done', 'cancelled')", name="state_known"),
)

SHOWN: Final = 5
"""Open goals that a reflection is shown (the predecessor's number)."""


def open_goals(connection: Connection, user_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the titles of each person's newest active goals; nobody without one is named."""
    found: dict[str, list[str]] = {}
    place = func.row_number().over(partition_by=goals.c.user_id, order_by=(goals.c.created_at.desc(), goals.c.id))
    for part in chunked(user_ids):
        numbered = (
            select(goals.c.user_id, goals.c.title, place.label("place"))
            .where(goals.c.user_id.in_(part), goals.c.state == ACTIVE)
            .subquery()
        )
        for row in connection.execute(
            select(numbered).where(numbered.c.place <= SHOWN).order_by(numbered.c.user_id, numbered.c.place)
        ):
            found.setdefault(row.user_id, []).append(row.title)
    return {user_id: tuple(titles) for user_id, titles in found.items()}
