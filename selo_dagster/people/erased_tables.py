"""Who was erased: only a keyed hash of the id, so that a file read again does not bring anybody back."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from selo_dagster.store.base import metadata
from selo_dagster.store.types import UTCDateTime

erased_people = Table(
    "erased_people",
    metadata,
    Column("digest", String(64), primary_key=True, comment="HMAC-SHA256 of the id"),
    Column("key_id", String(16), nullable=False, comment="which key: the beginning of its own SHA-256"),
    Column("saga_id", String(32), nullable=False),
    Column("erased_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("report", Text, nullable=False, comment="signed: counts and times, nothing of anybody"),
)
