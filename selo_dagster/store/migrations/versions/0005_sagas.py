"""Sagas: the journal, its locks, alerts and interventions; goals and the steps to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "saga_definitions",
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("first_used_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("type", "version", name=op.f("pk_saga_definitions")),
    )
    op.create_table(
        "goals",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False, comment="what it came from, such as reflection:ID"),
        sa.Column("priority", sa.Float(), nullable=False, comment="0-1"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Float(), server_default=sa.text("0"), nullable=False, comment="0-1"),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="changes so far"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.CheckConstraint("state IN ('active', 'reached', 'cancelled')", name=op.f("ck_goals_state_known")),
        sa.CheckConstraint("priority >= 0 AND priority <= 1", name=op.f("ck_goals_priority_range")),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_goals_progress_range")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_goals_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goals")),
    )
    op.create_index("ix_goals_user", "goals", ["user_id", "state"], unique=False)
    op.create_table(
        "sagas",
        sa.Column(
            "place", SERIAL, autoincrement=True, nullable=False, comment="in the person's queue: first in, first out"
        ),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("key", IDENTIFIER, nullable=False, comment="business key: the same one starts once"),
        sa.Column("input", DOCUMENT, nullable=False, comment="private"),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column(
            "generation",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="a restart after an undo is a new one",
        ),
        sa.Column(
            "epoch", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="fencing token: claims so far"
        ),
        sa.Column("run_id", sa.String(length=64), nullable=True, comment="the run that holds it, or held it last"),
        sa.Column(
            "lease_until", UTCDateTime(), nullable=True, comment="by the database's clock; NULL: nobody holds it"
        ),
        sa.Column(
            "progressed",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="since it was claimed last",
        ),
        sa.Column(
            "lost",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="claims without progress in a row",
        ),
        sa.Column("next_attempt_at", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.Column("reason", sa.String(length=80), nullable=True, comment="why it waits, is parked, or goes back"),
        sa.Column("error", DOCUMENT, nullable=True, comment="step, class and code of what failed; no text of anybody"),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("paused_from", sa.String(length=24), nullable=True, comment="state to go on in"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("deadline_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("started_at", UTCDateTime(), nullable=True, comment="by the database's clock"),
        sa.Column("ended_at", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.Column("changed_at", UTCDateTime(), nullable=False, comment="by the database's clock"),
        sa.CheckConstraint("direction IN ('forward', 'compensate')", name=op.f("ck_sagas_direction_known")),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'waiting', 'paused', 'parked', 'in_doubt', 'compensating', "
            "'completed', 'compensated', 'compensation_incomplete', 'nothing_to_undo', 'cancelled')",
            name=op.f("ck_sagas_state_known"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sagas_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_sagas")),
        sa.UniqueConstraint("id", name=op.f("uq_sagas_id")),
        sa.UniqueConstraint("type", "user_id", "key", name=op.f("uq_sagas_type_user_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_sagas_open",
        "sagas",
        ["type", "direction", "place"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running', 'waiting', 'compensating')"),
        sqlite_where=sa.text("state IN ('pending', 'running', 'waiting', 'compensating')"),
    )
    op.create_index(
        "ix_sagas_run",
        "sagas",
        ["run_id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NOT NULL"),
        sqlite_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index("ix_sagas_state", "sagas", ["state", "type"], unique=False)
    op.create_index("ix_sagas_user", "sagas", ["user_id", "place"], unique=False)
    op.create_table(
        "goal_steps",
        sa.Column("goal_id", sa.String(length=32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'done', 'cancelled')", name=op.f("ck_goal_steps_state_known")),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name=op.f("fk_goal_steps_goal_id_goals"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("goal_id", "place", name=op.f("pk_goal_steps")),
    )
    op.create_table(
        "saga_alerts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("detail", DOCUMENT, nullable=False, comment="ids, codes and numbers"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["sagas.id"], name=op.f("fk_saga_alerts_saga_id_sagas"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saga_alerts")),
        sa.UniqueConstraint(
            "saga_id", "code", "generation", "epoch", name=op.f("uq_saga_alerts_saga_id_code_generation_epoch")
        ),
        comment="written with the change of state that they are about; delivered afterwards",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_saga_alerts_open",
        "saga_alerts",
        ["id"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NULL"),
        sqlite_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "saga_attempts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("error", DOCUMENT, nullable=True, comment="class and code"),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["sagas.id"], name=op.f("fk_saga_attempts_saga_id_sagas"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saga_attempts")),
        comment="tries that did not end well; one that did is the step's row",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_saga_attempts_saga_id"), "saga_attempts", ["saga_id"], unique=False)
    op.create_table(
        "saga_interventions",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("before", sa.String(length=24), nullable=False, comment="state of the saga, or of the step, before"),
        sa.Column("after", sa.String(length=24), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["sagas.id"], name=op.f("fk_saga_interventions_saga_id_sagas"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saga_interventions")),
        comment="what people did to sagas, and why",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_saga_interventions_saga_id"), "saga_interventions", ["saga_id"], unique=False)
    op.create_table(
        "saga_locks",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["sagas.id"], name=op.f("fk_saga_locks_saga_id_sagas"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_saga_locks_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_saga_locks")),
        comment="whose saga is under way: one at a time a person, until it has ended either way",
    )
    op.create_index(op.f("ix_saga_locks_saga_id"), "saga_locks", ["saga_id"], unique=False)
    op.create_table(
        "saga_steps",
        sa.Column("saga_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("output", DOCUMENT, nullable=True, comment="private"),
        sa.Column("undo", DOCUMENT, nullable=True, comment="what its compensation needs; private"),
        sa.Column("effects", DOCUMENT, nullable=True, comment="[[target, before, after]]"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("undo_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="of the claim that wrote it last"),
        sa.Column("error", DOCUMENT, nullable=True, comment="class and code of its last failure"),
        sa.Column("began_at", UTCDateTime(), nullable=True, comment="by the database's clock"),
        sa.Column("done_at", UTCDateTime(), nullable=True, comment="by the database's clock"),
        sa.Column("undone_at", UTCDateTime(), nullable=True, comment="by the database's clock"),
        sa.Column("seconds", sa.Float(), nullable=True, comment="of the action, of its last try"),
        sa.Column("undo_seconds", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'refused', 'unknown', 'failed', 'undoing', 'undone', "
            "'nothing_to_undo', 'waived')",
            name=op.f("ck_saga_steps_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["sagas.id"], name=op.f("fk_saga_steps_saga_id_sagas"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("saga_id", "generation", "step", name=op.f("pk_saga_steps")),
        comment="one row a step and generation: the barrier between doing and undoing",
    )
