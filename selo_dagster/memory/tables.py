"""Tables of the memory room."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from selo_dagster.store.base import metadata, sqlite_instant, unit_interval
from selo_dagster.store.types import Document, Identifier, Reference, Serial, UTCDateTime, database_now

ROLES = ("user", "assistant", "system")

_ROLE_LIST = ", ".join(f"'{role}'" for role in ROLES)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column(
        "conversation_id", Identifier, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    CheckConstraint(f"role IN ({_ROLE_LIST})", name="role_known"),
    sqlite_instant("at"),
    Index("ix_messages_user_at", "user_id", "at"),
)

memories = Table(
    "memories",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(80), nullable=False),
    Column("content", Text, nullable=False),
    Column("importance", Float, nullable=False),
    Column("confidence", Float),
    Column("at", UTCDateTime, nullable=False),
    Column("message_id", Identifier, ForeignKey("messages.id", ondelete="SET NULL"), index=True),
    Column("tags", Document, nullable=False, default=list, server_default="[]"),
    unit_interval("importance"),
    unit_interval("confidence"),
    sqlite_instant("at"),
    Index("ix_memories_user_at", "user_id", "at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("seq", BigInteger, unique=True, comment="given to committed rows by the reader"),
    Column("origin", String(16), nullable=False, comment="message, memory, event or user: whose id `ref` is"),
    Column("ref", Reference, nullable=False),
    Column("type", String(80), nullable=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("payload", Document, nullable=False),
    Column("created_at", UTCDateTime, nullable=False, default=database_now()),
    UniqueConstraint("origin", "ref"),
    sqlite_instant("at"),
    Index("ix_events_user_seq", "user_id", "seq"),
    Index(
        "ix_events_unnumbered",
        "id",
        postgresql_where=Column("seq").is_(None),
        sqlite_where=Column("seq").is_(None),
    ),
    sqlite_autoincrement=True,
)

stream_positions = Table(
    "stream_positions",
    metadata,
    Column("reader", String(40), primary_key=True),
    Column("seq", BigInteger, nullable=False, comment="the last number that was given out or read"),
)
