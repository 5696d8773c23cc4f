"""What the companion was told by HTTP, and when: one row a notice that is out there."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, String, Table

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Identifier, UTCDateTime

NOTICE_LENGTH: Final = 120
"""A saga's token: its id, the generation, the step and the direction."""

companion_notices = Table(
    "companion_notices",
    metadata,
    Column("notice", String(NOTICE_LENGTH), primary_key=True, comment="the token under which the companion knows it"),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("reflection_id", String(32), ForeignKey("reflections.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("told_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Index("ix_companion_notices_user", "user_id", "told_at"),
)
