"""Tables of the alerts."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, text

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Serial, UTCDateTime, database_now

OPENED, STILL, RESOLVED = "opened", "still", "resolved"
WHATS = (OPENED, STILL, RESOLVED)

_OPEN = "resolved_at IS NULL"
_UNDELIVERED = "delivered_at IS NULL"

alerts = Table(
    "alerts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("code", String(40), nullable=False, comment="its heading in the runbook"),
    Column("subject", String(80), nullable=False, comment="a kind, a saga's type, a sensor: never a person"),
    Column("message", Text, nullable=False, comment="counts, codes and names; no text of anybody"),
    Column("times", Integer, nullable=False, server_default=text("1"), comment="signals folded into it"),
    Column("opened_at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Column("seen_at", UTCDateTime, nullable=False, default=database_now(), comment="when it was last so"),
    Column("cleared_at", UTCDateTime, comment="since when it is no longer so"),
    Column("resolved_at", UTCDateTime, comment="told as over"),
    Index(
        "uq_alerts_open",
        "code",
        "subject",
        unique=True,
        postgresql_where=text(_OPEN),
        sqlite_where=text(_OPEN),
    ),
    sqlite_autoincrement=True,
    comment="one open row a code and subject, however often it is signalled",
)

alert_notices = Table(
    "alert_notices",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("alert_id", Serial, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("what", String(10), nullable=False),
    Column("message", Text, nullable=False, comment="as it was then"),
    Column("created_at", UTCDateTime, nullable=False, default=database_now()),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Column("reached", Document, nullable=False, comment="hashes of the addresses that have it"),
    Column("delivered_at", UTCDateTime),
    CheckConstraint("what IN ('opened', 'still', 'resolved')", name="what_known"),
    Index(
        "ix_alert_notices_undelivered",
        "next_attempt_at",
        postgresql_where=text(_UNDELIVERED),
        sqlite_where=text(_UNDELIVERED),
    ),
    sqlite_autoincrement=True,
    comment="an outbox: written with the alert's change, delivered at least once to each address",
)
