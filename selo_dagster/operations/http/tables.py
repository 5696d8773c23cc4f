"""The table of requests that may be repeated without being done twice."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, UTCDateTime, database_now

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", String(80), primary_key=True, comment="name of the token"),
    Column("key", String(200), primary_key=True),
    Column("request", String(64), nullable=False, comment="SHA-256 of method, path and body"),
    Column("status", Integer, nullable=False, comment="HTTP status of the answer"),
    Column("answer", Document, nullable=False, comment="ids and states"),
    Column("created_at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Index("ix_idempotency_keys_created_at", "created_at"),
    comment="written in the transaction of what was asked for",
)
