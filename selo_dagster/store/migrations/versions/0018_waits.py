"""Waits: since when a saga waits for what others have to give, so that its deadline moves by as long."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import UTCDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "sagas",
        sa.Column(
            "waits_since",
            UTCDateTime(),
            nullable=True,
            comment="for room or its model, by the domain's clock; its deadline moves as long",
        ),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("sagas", "waits_since")
