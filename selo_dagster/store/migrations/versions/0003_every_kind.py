"""Every kind: causes, one-offs, pauses, cadences, mantras, questions, audits, the resource guard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "resource_guard",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column(
            "reasons", DOCUMENT, nullable=False, comment="[{metric, percent, limit}]: why it is closed or unknown"
        ),
        sa.Column("since", UTCDateTime(), nullable=False, comment="in this state since, by the database's clock"),
        sa.Column("looked_at", UTCDateTime(), nullable=False),
        sa.Column("streak", sa.Integer(), nullable=False, comment="samples in a row that ask for the other state"),
        sa.CheckConstraint("state IN ('open', 'closed', 'unknown')", name=op.f("ck_resource_guard_state_known")),
        sa.CheckConstraint("id = 1", name=op.f("ck_resource_guard_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_guard")),
    )
    op.create_table(
        "resource_samples",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column(
            "cpu",
            sa.Float(),
            nullable=True,
            comment="percent of all cores used by others than this project; NULL: could not tell",
        ),
        sa.Column("memory", sa.Float(), nullable=True, comment="percent"),
        sa.Column("disk", sa.Float(), nullable=True, comment="percent of the disk that holds SELO_HOME"),
        sa.Column(
            "model",
            sa.Float(),
            nullable=True,
            comment="percent of the model server's slots in use; NULL: it does not say",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_samples")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_resource_samples_at"), "resource_samples", ["at"], unique=False)
    op.create_table(
        "answer_audits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False, comment="answers looked at"),
        sa.Column("tags", DOCUMENT, nullable=False, comment="{tag: number of answers}"),
        sa.Column("merges", DOCUMENT, nullable=False, comment="[{keep, retire: [memory ids], because, likeness}]"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_answer_audits_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer_audits")),
        sa.UniqueConstraint("user_id", "on", "version", name=op.f("uq_answer_audits_user_id_on_version")),
    )
    op.create_table(
        "reflection_cadences",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("levels", DOCUMENT, nullable=False, comment="[[instant, level 0-1]], oldest first, the last hundred"),
        sa.Column("interval_s", sa.Float(), nullable=False),
        sa.Column("read_seq", sa.BigInteger(), nullable=False, comment="events of the person up to here were read"),
        sa.Column("unread_since", UTCDateTime(), nullable=True, comment="instant of the oldest unread word or memory"),
        sa.Column("due_at", UTCDateTime(), nullable=True, comment="when what is unread is due"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_cadences_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_reflection_cadences")),
    )
    op.create_index(
        "ix_reflection_cadences_due",
        "reflection_cadences",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "reflection_one_offs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("cause", DOCUMENT, nullable=False, comment="rule, memories, context: private"),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column(
            "outcome",
            sa.String(length=80),
            nullable=True,
            comment="what placing it said at once, where no run was needed",
        ),
        sa.Column(
            "placed_at", UTCDateTime(), nullable=True, comment="by the domain's clock; after due_at where it came late"
        ),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.CheckConstraint(
            "state IN ('waiting', 'placed', 'cancelled')", name=op.f("ck_reflection_one_offs_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_one_offs_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflection_one_offs")),
    )
    op.create_index(op.f("ix_reflection_one_offs_user_id"), "reflection_one_offs", ["user_id"], unique=False)
    op.create_index(
        "ix_reflection_one_offs_waiting",
        "reflection_one_offs",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "reflection_pauses",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=True, comment="NULL: every kind"),
        sa.Column("user_id", IDENTIFIER, nullable=True, comment="NULL: everybody"),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True, comment="NULL: still paused"),
        sa.Column("because", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_pauses_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflection_pauses")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_reflection_pauses_user_id"), "reflection_pauses", ["user_id"], unique=False)
    op.create_table(
        "mantras",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reflection_id", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["reflection_id"], ["reflections.id"], name=op.f("fk_mantras_reflection_id_reflections"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mantras_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mantras")),
        sa.UniqueConstraint("user_id", "on", "version", name=op.f("uq_mantras_user_id_on_version")),
    )
    op.create_index(op.f("ix_mantras_reflection_id"), "mantras", ["reflection_id"], unique=False)
    op.create_table(
        "memory_retirements",
        sa.Column("memory_id", IDENTIFIER, nullable=False),
        sa.Column("merged_into", IDENTIFIER, nullable=False),
        sa.Column("audit_id", sa.String(length=32), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["audit_id"],
            ["answer_audits.id"],
            name=op.f("fk_memory_retirements_audit_id_answer_audits"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["memory_id"], ["memories.id"], name=op.f("fk_memory_retirements_memory_id_memories"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["merged_into"],
            ["memories.id"],
            name=op.f("fk_memory_retirements_merged_into_memories"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("memory_id", name=op.f("pk_memory_retirements")),
        comment="memories are immutable: one that says what another says is only left out of what is read",
    )
    op.create_index(op.f("ix_memory_retirements_audit_id"), "memory_retirements", ["audit_id"], unique=False)
    op.create_index(op.f("ix_memory_retirements_merged_into"), "memory_retirements", ["merged_into"], unique=False)
    op.create_table(
        "relationship_questions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("ledger_id", SERIAL, nullable=True),
        sa.Column("on", sa.Date(), nullable=False, comment="the local date of the reflection that it came from"),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("topic", sa.String(length=80), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False, comment="1 (most urgent) to 5"),
        sa.Column("evidence", DOCUMENT, nullable=False, comment="source ids that it rests on"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("available_at", UTCDateTime(), nullable=False, comment="not to be asked before"),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column(
            "created_at", UTCDateTime(), nullable=False, comment="by the domain's clock, as are the other instants"
        ),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True, comment="answered, expired or skipped at"),
        sa.Column("answer_id", IDENTIFIER, nullable=True),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'answered', 'expired', 'skipped')",
            name=op.f("ck_relationship_questions_state_known"),
        ),
        sa.CheckConstraint("priority BETWEEN 1 AND 5", name=op.f("ck_relationship_questions_priority_range")),
        sa.ForeignKeyConstraint(
            ["answer_id"],
            ["memories.id"],
            name=op.f("fk_relationship_questions_answer_id_memories"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["ledger_id"],
            ["reflection_ledger.id"],
            name=op.f("fk_relationship_questions_ledger_id_reflection_ledger"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_relationship_questions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relationship_questions")),
    )
    op.create_index(op.f("ix_relationship_questions_answer_id"), "relationship_questions", ["answer_id"], unique=False)
    op.create_index(op.f("ix_relationship_questions_ledger_id"), "relationship_questions", ["ledger_id"], unique=False)
    op.create_index("ix_relationship_questions_user", "relationship_questions", ["user_id", "state"], unique=False)
    op.add_column(
        "reflection_ledger",
        sa.Column(
            "cause",
            DOCUMENT,
            nullable=True,
            comment="what asked for it, for kinds that something causes: rule, memories, context",
        ),
    )
    op.create_index(
        "ix_reflection_ledger_waiting",
        "reflection_ledger",
        ["kind", "on"],
        unique=False,
        postgresql_where=sa.text("state = 'deferred' AND ready_at IS NULL"),
        sqlite_where=sa.text("state = 'deferred' AND ready_at IS NULL"),
    )
    op.drop_index("ix_events_user_id", table_name="events")
    op.create_index("ix_events_user_seq", "events", ["user_id", "seq"], unique=False)
