"""Tables of the people room."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from selo_dagster.store.base import metadata, sqlite_instant, unit_interval
from selo_dagster.store.types import Identifier, UTCDateTime, database_now

ACTIVE = "active"
TOMBSTONED = "tombstoned"

users = Table(
    "users",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("key", Identifier, nullable=False, unique=True, comment="partition key in Dagster"),
    Column("name", Text, nullable=False),
    Column("zone", String(64), nullable=False, comment="zone of the newest statement"),
    Column("moves", Integer, nullable=False, server_default=text("0"), comment="statements after the first"),
    Column("state", String(16), nullable=False, server_default=text(f"'{ACTIVE}'")),
    Column("tenant", String(80), comment="whose people they belong to; NULL: nobody's"),
    Column("created_at", UTCDateTime, nullable=False, default=database_now()),
    CheckConstraint(f"state IN ('{ACTIVE}', '{TOMBSTONED}')", name="state_known"),
    Index("ix_users_zone", "zone"),
    Index(
        "ix_users_tenant",
        "tenant",
        postgresql_where=text("tenant IS NOT NULL"),
        sqlite_where=text("tenant IS NOT NULL"),
    ),
)

user_statements = Table(
    "user_statements",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("since", UTCDateTime, primary_key=True, comment="holds from then; the first holds before it too"),
    Column("name", Text, nullable=False),
    Column("zone", String(64), nullable=False),
    sqlite_instant("since"),
)

persona_traits = Table(
    "persona_traits",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("category", String(40), nullable=False),
    Column("value", Float, nullable=False),
    Column("stability", Float, nullable=False, server_default=text("0.5"), comment="0-1: how little it drifts home"),
    Column("locked", Boolean, nullable=False, server_default=text("false"), comment="nothing changes it"),
    Column("version", Integer, nullable=False, server_default=text("1"), comment="changes so far, and one"),
    Column("made_by", String(32), comment="the evolution that made it; NULL: it was there from the beginning"),
    unit_interval("value"),
)
