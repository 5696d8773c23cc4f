"""Tables of the answer audit."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Identifier, UTCDateTime

answer_audits = Table(
    "answer_audits",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("on", Date, nullable=False),
    Column("version", Integer, nullable=False),
    Column("answers", Integer, nullable=False, comment="answers looked at"),
    Column("tags", Document, nullable=False, comment="{tag: number of answers}"),
    Column("merges", Document, nullable=False, comment="[{keep, retire: [memory ids], because, likeness}]"),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    UniqueConstraint("user_id", "on", "version"),
)

memory_retirements = Table(
    "memory_retirements",
    metadata,
    Column("memory_id", Identifier, ForeignKey("memories.id", ondelete="CASCADE"), primary_key=True),
    Column("merged_into", Identifier, ForeignKey("memories.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("audit_id", String(32), ForeignKey("answer_audits.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("because", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    comment="memories are immutable: one that says what another says is only left out of what is read",
)
