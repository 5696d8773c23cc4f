"""Evolutions: what changed a persona, by how much, why, and what people say of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from selo_dagster.store.base import metadata, tainted, unit_interval
from selo_dagster.store.types import Document, Identifier, UTCDateTime

APPLIED: Final = "applied"
REVERSED: Final = "reversed"

UNREVIEWED: Final = "unreviewed"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"

persona_evolutions = Table(
    "persona_evolutions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("saga_id", String(32), comment="the saga that carried it out; NULL: the direct path"),
    Column("source", String(200), nullable=False, comment="what it came from, such as reflection:ID"),
    Column("evidence", Document, nullable=False, comment="sources that it rests on: [memory:ID, …]"),
    Column("confidence", Float, nullable=False, comment="0-1"),
    Column("impact", Float, nullable=False, comment="0-1: the sum of what was applied, without signs"),
    Column("model", String(200), nullable=False, comment="who wished for it"),
    Column("prompt_version", String(40), nullable=False),
    Column("state", String(16), nullable=False, server_default=text(f"'{APPLIED}'")),
    Column("review", String(16), nullable=False, server_default=text(f"'{UNREVIEWED}'")),
    Column("reviewed_by", String(200)),
    Column("because", Text, comment="why it was approved or rejected"),
    Column("reviewed_at", UTCDateTime, comment="by the domain's clock"),
    Column(
        "place",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="among those of the person, by the order in which they were made; from 1",
    ),
    tainted(),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("reversed_at", UTCDateTime, comment="by the domain's clock"),
    CheckConstraint(f"state IN ('{APPLIED}', '{REVERSED}')", name="state_known"),
    CheckConstraint(f"review IN ('{UNREVIEWED}', '{APPROVED}', '{REJECTED}')", name="review_known"),
    unit_interval("confidence"),
    unit_interval("impact"),
    Index("ix_persona_evolutions_user", "user_id", "created_at"),
    Index("ix_persona_evolutions_saga", "saga_id"),
    comment="kept after an undo, and marked reversed",
)

persona_changes = Table(
    "persona_changes",
    metadata,
    Column("evolution_id", String(32), ForeignKey("persona_evolutions.id", ondelete="CASCADE"), primary_key=True),
    Column("trait", String(80), primary_key=True),
    Column("category", String(40), nullable=False),
    Column("before", Float, comment="NULL: the trait was made"),
    Column("requested", Float, nullable=False),
    Column("applied", Float, nullable=False, comment="after limits, the clamp and locks"),
    Column("after", Float, nullable=False),
    Column("made", Boolean, nullable=False, server_default=text("false")),
    Column("locked", Boolean, nullable=False, server_default=text("false"), comment="nothing was applied"),
    Column("reason", Text, nullable=False, comment="private"),
)

stale_marks = Table(
    "stale_marks",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("derived", String(80), primary_key=True, comment="what rests on something undone: reflection:ID, …"),
    Column("because", String(80), primary_key=True, comment="what was undone: evolution:ID"),
    Column("marked_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    comment="derived later from what was undone since; to be looked at, or made again",
)
