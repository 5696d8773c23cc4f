"""What a conversation came to, in a few sentences; each change is a version."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from selo_dagster.store.base import metadata, tainted
from selo_dagster.store.types import Document, Identifier, UTCDateTime

conversation_summaries = Table(
    "conversation_summaries",
    metadata,
    Column("conversation_id", Identifier, ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("summary", Text, nullable=False),
    Column("topics", Document, nullable=False),
    Column("messages", Integer, nullable=False, comment="messages that it covers"),
    Column("version", Integer, nullable=False, comment="changes so far"),
    Column("saga_id", String(32), nullable=False, comment="the saga that wrote this version"),
    Column("model", String(200), nullable=False),
    tainted(),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Index("ix_conversation_summaries_user", "user_id"),
)
