"""Retries: what an attempt was made from, attempts that a request forgives, heartbeats of sensors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "reflection_attempts",
        sa.Column("input_hash", sa.String(64), nullable=True, comment="SHA-256 of what the model was shown"),
    )
    op.add_column(
        "reflection_ledger",
        sa.Column(
            "forgiven",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="attempts before the last request",
        ),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("detail", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
