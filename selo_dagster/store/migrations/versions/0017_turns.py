"""Tenants, and an index by which one person's requests are counted before they are claimed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CAUSED = "ready_at IS NOT NULL AND cause IS NOT NULL"
NAMED = "tenant IS NOT NULL"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "users",
        sa.Column("tenant", sa.String(length=80), nullable=True, comment="whose people they belong to; NULL: nobody's"),
    )
    op.create_index(
        "ix_users_tenant", "users", ["tenant"], postgresql_where=sa.text(NAMED), sqlite_where=sa.text(NAMED)
    )
    op.create_index(
        "ix_reflection_ledger_caused",
        "reflection_ledger",
        ["user_id", "kind", "on", "id"],
        postgresql_where=sa.text(CAUSED),
        sqlite_where=sa.text(CAUSED),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_reflection_ledger_caused", table_name="reflection_ledger")
    op.drop_index("ix_users_tenant", table_name="users")
    op.drop_column("users", "tenant")
