"""Evaluations: what the bundled cases said of a model and its prompts, and which of these is accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import Document, UTCDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column(
            "fingerprint",
            sa.String(length=64),
            nullable=False,
            comment="of prompts, schemas and model: what is accepted",
        ),
        sa.Column("cases", sa.String(length=20), nullable=False, comment="version of the bundled cases"),
        sa.Column(
            "digest",
            sa.String(length=16),
            nullable=False,
            comment="of the bundled cases: other ones cannot be compared",
        ),
        sa.Column("scores", Document, nullable=False, comment="{measure: 0-1}"),
        sa.Column("report", Document, nullable=False, comment="counts and ids of bundled cases; nothing of anybody's"),
        sa.Column("number", sa.Integer(), nullable=False, comment="cases that were played"),
        sa.Column(
            "whole", sa.Boolean(), nullable=False, comment="every family was asked for, and everything was measured"
        ),
        sa.Column(
            "accepted_at", UTCDateTime(), nullable=True, comment="since when it is, or was, the accepted configuration"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        comment="of bundled cases: about nobody",
    )
    op.create_index(op.f("ix_evaluations_at"), "evaluations", ["at"])
    op.create_index(
        op.f("ix_evaluations_accepted_at"),
        "evaluations",
        ["accepted_at"],
        postgresql_where=sa.text("accepted_at IS NOT NULL"),
        sqlite_where=sa.text("accepted_at IS NOT NULL"),
    )
