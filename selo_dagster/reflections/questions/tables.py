"""Table of the question queue."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Index, Integer, String, Table, Text

from selo_dagster.reflections.questions.states import STATES
from selo_dagster.store.base import metadata, tainted
from selo_dagster.store.types import Document, Identifier, UTCDateTime

_STATE_LIST = ", ".join(f"'{state}'" for state in STATES)

relationship_questions = Table(
    "relationship_questions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("ledger_id", ForeignKey("reflection_ledger.id", ondelete="SET NULL"), index=True),
    Column("on", Date, nullable=False, comment="the local date of the reflection that it came from"),
    Column("question", Text, nullable=False),
    Column("topic", String(80), nullable=False),
    Column("priority", Integer, nullable=False, comment="1 (most urgent) to 5"),
    Column("evidence", Document, nullable=False, comment="source ids that it rests on"),
    Column("citations", Document, comment="[{source, quote, start, end}]; NULL: from before quotes were kept"),
    Column("state", String(16), nullable=False),
    Column("available_at", UTCDateTime, nullable=False, comment="not to be asked before"),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock, as are the other instants"),
    Column("delivered_at", UTCDateTime),
    Column("closed_at", UTCDateTime, comment="answered, expired or skipped at"),
    Column("answer_id", Identifier, ForeignKey("memories.id", ondelete="SET NULL"), index=True),
    Column("model", String(120), nullable=False),
    tainted(),
    CheckConstraint(f"state IN ({_STATE_LIST})", name="state_known"),
    CheckConstraint("priority BETWEEN 1 AND 5", name="priority_range"),
    Index("ix_relationship_questions_user", "user_id", "state"),
)
