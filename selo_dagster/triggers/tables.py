"""Tables of the triggers room."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, text

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Identifier, Reference, UTCDateTime

trigger_states = Table(
    "trigger_states",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("rule", String(40), primary_key=True),
    Column("upto", BigInteger, nullable=False, comment="number of the last event that it has seen of this person"),
    Column("kept", Document, nullable=False, comment="events inside its windows"),
    Column("waiting", Document, nullable=False, comment="causes that came in a cooldown and join the next request"),
    Column(
        "waiting_count", Integer, nullable=False, server_default=text("0"), comment="causes that came in a cooldown"
    ),
    Column(
        "began_at", UTCDateTime, comment="when the present stretch of talk began, for a rule that waits for silence"
    ),
    Column("due_at", UTCDateTime, comment="when silence makes it fire, by the domain's clock"),
    Column("cooldown_until", UTCDateTime, comment="by the domain's clock"),
    Column("asked_at", UTCDateTime, comment="when it asked for a reflection last, by the domain's clock"),
    Column("asked_key", Identifier, comment="key of that request in the reflection ledger"),
    Column("requests", Integer, nullable=False, server_default=text("0"), comment="reflections asked for so far"),
    Index(
        "ix_trigger_states_due",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
)

trigger_parked = Table(
    "trigger_parked",
    metadata,
    Column("seq", BigInteger, ForeignKey("events.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("origin", String(16), nullable=False),
    Column("ref", Reference, nullable=False),
    Column("type", String(80), nullable=False),
    Column("code", String(200), nullable=False, comment="why it could not be judged; nothing of the payload"),
    Column("rules", Document, nullable=False, comment="rules that have not judged it"),
    Column("state", String(16), nullable=False, server_default=text("'parked'")),
    Column("parked_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("settled_at", UTCDateTime, comment="by the domain's clock"),
    CheckConstraint("state IN ('parked', 'replayed', 'dropped')", name="state_known"),
    Index(
        "ix_trigger_parked_open",
        "seq",
        postgresql_where=text("state = 'parked'"),
        sqlite_where=text("state = 'parked'"),
    ),
)

trigger_counts = Table(
    "trigger_counts",
    metadata,
    Column("rule", String(40), primary_key=True),
    Column("outcome", String(20), primary_key=True),
    Column("events", BigInteger, nullable=False, comment="events with this outcome so far; only grows"),
    comment="each event that a rule has to see has one outcome",
)
