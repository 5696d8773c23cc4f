"""Tables of the models' room."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, Integer, String, Table, text

from selo_dagster.store.base import metadata
from selo_dagster.store.types import UTCDateTime, database_now

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"

model_endpoints = Table(
    "model_endpoints",
    metadata,
    Column("key", String(64), primary_key=True, comment="SHA-256 of the address without credentials"),
    Column("host", String(255), nullable=False, comment="host and port, for people"),
    Column("state", String(10), nullable=False, server_default=text("'closed'")),
    Column("since", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="in a row, by anybody"),
    Column("times_opened", Integer, nullable=False, server_default=text("0"), comment="outages so far"),
    Column("opened_at", UTCDateTime, comment="beginning of the last outage"),
    Column("wait_s", Float, nullable=False, server_default=text("0"), comment="between two probes"),
    Column("probes", Integer, nullable=False, server_default=text("0"), comment="that failed in this outage"),
    Column("next_probe_at", UTCDateTime, comment="by the database's clock"),
    Column("probe_by", String(64), comment="who may call while it is open"),
    Column("probe_until", UTCDateTime, comment="end of the probe's lease, by the database's clock"),
    Column("room", Integer, nullable=False, server_default=text("0"), comment="calls at once while it is half open"),
    Column("tried_since", UTCDateTime, comment="place in the queue of the last obligation whose probe failed"),
    Column("tried_id", BigInteger),
    CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state_known"),
    comment="one breaker an endpoint, shared by all runs",
)
