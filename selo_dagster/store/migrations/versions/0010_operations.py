"""Operations: signals and alerts, what runs did, totals of rows that are gone, repeatable requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BY_THE_DATABASE = "by the database's clock"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "alert_signals",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column(
            "subject", sa.String(length=80), nullable=False, comment="a kind, a saga's type, a reader: never a person"
        ),
        sa.Column("detail", DOCUMENT, nullable=False, comment="codes and numbers"),
        sa.Column("at", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_signals")),
        sqlite_autoincrement=True,
        comment="an outbox: only added to, folded into the alerts and deleted afterwards",
    )
    op.create_table(
        "alerts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False, comment="its heading in the runbook"),
        sa.Column(
            "subject", sa.String(length=80), nullable=False, comment="a kind, a saga's type, a sensor: never a person"
        ),
        sa.Column("message", sa.Text(), nullable=False, comment="counts, codes and names; no text of anybody"),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="signals folded into it"),
        sa.Column("opened_at", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.Column("seen_at", UTCDateTime(), nullable=False, comment="when it was last so"),
        sa.Column("cleared_at", UTCDateTime(), nullable=True, comment="since when it is no longer so"),
        sa.Column("resolved_at", UTCDateTime(), nullable=True, comment="told as over"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
        comment="one open row a code and subject, however often it is signalled",
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["code", "subject"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
        sqlite_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "alert_notices",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("alert_id", SERIAL, nullable=False),
        sa.Column("what", sa.String(length=10), nullable=False),
        sa.Column("message", sa.Text(), nullable=False, comment="as it was then"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.Column("reached", DOCUMENT, nullable=False, comment="hashes of the addresses that have it"),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("what IN ('opened', 'still', 'resolved')", name=op.f("ck_alert_notices_what_known")),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_notices_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notices")),
        sqlite_autoincrement=True,
        comment="an outbox: written with the alert's change, delivered at least once to each address",
    )
    op.create_index("ix_alert_notices_alert_id", "alert_notices", ["alert_id"])
    op.create_index(
        "ix_alert_notices_undelivered",
        "alert_notices",
        ["next_attempt_at"],
        postgresql_where=sa.text("delivered_at IS NULL"),
        sqlite_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(length=80), nullable=False, comment="name of the token"),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False, comment="SHA-256 of method, path and body"),
        sa.Column("status", sa.Integer(), nullable=False, comment="HTTP status of the answer"),
        sa.Column("answer", DOCUMENT, nullable=False, comment="ids and states"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
        comment="written in the transaction of what was asked for",
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "job_runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False, comment="a reflection kind, or the job's name"),
        sa.Column("started_at", UTCDateTime(), nullable=False, comment=BY_THE_DATABASE),
        sa.Column(
            "finished_at", UTCDateTime(), nullable=True, comment="by the database's clock; NULL: under way, or dead"
        ),
        *(
            sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
            for name in ("total", "succeeded", "skipped", "failed")
        ),
        sa.Column("error", sa.String(length=80), nullable=True, comment="class of what ended it, if something did"),
        sa.PrimaryKeyConstraint("run_id", "job", name=op.f("pk_job_runs")),
    )
    op.create_index("ix_job_runs_job", "job_runs", ["job", "started_at"])
    op.create_table(
        "retired_obligations",
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("number", "model_calls", "input_tokens", "output_tokens")
        ),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "state", name=op.f("pk_retired_obligations")),
        comment="added to in the transaction that deletes the rows",
    )
