"""Notices: what the companion's own server was told, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import UTCDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "companion_notices",
        sa.Column(
            "notice", sa.String(length=120), nullable=False, comment="the token under which the companion knows it"
        ),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("reflection_id", sa.String(length=32), nullable=False),
        sa.Column("told_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["reflection_id"],
            ["reflections.id"],
            name=op.f("fk_companion_notices_reflection_id_reflections"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_companion_notices_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("notice", name=op.f("pk_companion_notices")),
    )
    op.create_index(op.f("ix_companion_notices_reflection_id"), "companion_notices", ["reflection_id"], unique=False)
    op.create_index("ix_companion_notices_user", "companion_notices", ["user_id", "told_at"], unique=False)
