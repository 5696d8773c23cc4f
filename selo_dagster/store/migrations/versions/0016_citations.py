"""Citations: what questions, learnings and episodes quote of what they rest on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    for table in ("relationship_questions", "learnings", "episodes"):
        # Nullable and without a default: adding it touches no row, and recreates no table.
        op.add_column(
            table,
            sa.Column(
                "citations",
                DOCUMENT,
                nullable=True,
                comment="[{source, quote, start, end}]; NULL: from before quotes were kept",
            ),
        )
