"""Model endpoints: one breaker each, shared by all runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from selo_dagster.store.types import UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BY_THE_DATABASE = "by the database's clock"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "model_endpoints",
        sa.Column("key", sa.String(length=64), nullable=False, comment="SHA-256 of the address without credentials"),
        sa.Column("host", sa.String(length=255), nullable=False, comment="host and port, for people"),
        sa.Column("state", sa.String(length=10), server_default=sa.text("'closed'"), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.Column(
            "failures", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="in a row, by anybody"
        ),
        sa.Column("times_opened", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="outages so far"),
        sa.Column("opened_at", UTCDateTime(), nullable=True, comment="beginning of the last outage"),
        sa.Column("wait_s", sa.Float(), server_default=sa.text("0"), nullable=False, comment="between two probes"),
        sa.Column(
            "probes", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="that failed in this outage"
        ),
        sa.Column("next_probe_at", UTCDateTime(), nullable=True, comment=BY_THE_DATABASE),
        sa.Column("probe_by", sa.String(length=64), nullable=True, comment="who may call while it is open"),
        sa.Column(
            "probe_until", UTCDateTime(), nullable=True, comment="end of the probe's lease, by the database's clock"
        ),
        sa.Column(
            "room",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="calls at once while it is half open",
        ),
        sa.Column(
            "tried_since",
            UTCDateTime(),
            nullable=True,
            comment="place in the queue of the last obligation whose probe failed",
        ),
        sa.Column("tried_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('closed', 'open', 'half_open')", name=op.f("ck_model_endpoints_state_known")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_model_endpoints")),
        comment="one breaker an endpoint, shared by all runs",
    )
