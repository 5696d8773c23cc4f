"""What was learned of a person, from a reflection or a conversation, and what it rests on."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, String, Table, Text, text

from selo_dagster.store.base import metadata, tainted, unit_interval
from selo_dagster.store.types import Document, Identifier, UTCDateTime

LEAST_CONFIDENCE: Final = 0.6
"""Below it nothing is kept (the predecessor's bound)."""

learnings = Table(
    "learnings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("saga_id", String(32), nullable=False, comment="the saga that kept it"),
    Column("source", String(240), nullable=False, comment="reflection:ID or conversation:ID"),
    Column("content", Text, nullable=False),
    Column("domain", String(40), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("importance", Float, nullable=False),
    Column("evidence", Document, nullable=False, comment="sources that it rests on: [memory:ID, …]"),
    Column("citations", Document, comment="[{source, quote, start, end}]; NULL: from before quotes were kept"),
    Column("model", String(200), nullable=False),
    tainted(),
    Column("state", String(16), nullable=False, server_default=text("'kept'")),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    CheckConstraint("state IN ('kept', 'superseded')", name="state_known"),
    unit_interval("confidence"),
    unit_interval("importance"),
    Index("ix_learnings_user", "user_id", "created_at"),
    Index("ix_learnings_saga", "saga_id"),
)
