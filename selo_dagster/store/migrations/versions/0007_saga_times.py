"""Saga times: when one was asked for and turned round, and how often its claim was taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("sagas", sa.Column("asked_at", UTCDateTime(), comment="by the database's clock"))
    op.add_column(
        "sagas", sa.Column("turned_at", UTCDateTime(), comment="when it last began to go back, by the database's clock")
    )
    op.add_column(
        "sagas",
        sa.Column(
            "takeovers",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="claims that were taken back",
        ),
    )
