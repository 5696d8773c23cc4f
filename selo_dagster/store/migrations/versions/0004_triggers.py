"""Triggers: what rules remember of a person, parked events, counts by outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
REFERENCE = sa.String(240).with_variant(sa.String(240, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "trigger_counts",
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="events with this outcome so far; only grows"),
        sa.PrimaryKeyConstraint("rule", "outcome", name=op.f("pk_trigger_counts")),
        comment="each event that a rule has to see has one outcome",
    )
    op.create_table(
        "trigger_states",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column(
            "upto",
            sa.BigInteger(),
            nullable=False,
            comment="number of the last event that it has seen of this person",
        ),
        sa.Column("kept", DOCUMENT, nullable=False, comment="events inside its windows"),
        sa.Column(
            "waiting", DOCUMENT, nullable=False, comment="causes that came in a cooldown and join the next request"
        ),
        sa.Column(
            "waiting_count",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="causes that came in a cooldown",
        ),
        sa.Column(
            "began_at",
            UTCDateTime(),
            nullable=True,
            comment="when the present stretch of talk began, for a rule that waits for silence",
        ),
        sa.Column("due_at", UTCDateTime(), nullable=True, comment="when silence makes it fire, by the domain's clock"),
        sa.Column("cooldown_until", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.Column(
            "asked_at",
            UTCDateTime(),
            nullable=True,
            comment="when it asked for a reflection last, by the domain's clock",
        ),
        sa.Column("asked_key", IDENTIFIER, nullable=True, comment="key of that request in the reflection ledger"),
        sa.Column(
            "requests",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="reflections asked for so far",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trigger_states_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "rule", name=op.f("pk_trigger_states")),
    )
    op.create_index(
        "ix_trigger_states_due",
        "trigger_states",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "trigger_parked",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("ref", REFERENCE, nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column(
            "code",
            sa.String(length=200),
            nullable=False,
            comment="why it could not be judged; nothing of the payload",
        ),
        sa.Column("rules", DOCUMENT, nullable=False, comment="rules that have not judged it"),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'parked'"), nullable=False),
        sa.Column("parked_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.Column("settled_at", UTCDateTime(), nullable=True, comment="by the domain's clock"),
        sa.CheckConstraint("state IN ('parked', 'replayed', 'dropped')", name=op.f("ck_trigger_parked_state_known")),
        sa.ForeignKeyConstraint(["seq"], ["events.seq"], name=op.f("fk_trigger_parked_seq_events"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trigger_parked_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trigger_parked")),
    )
    op.create_index(op.f("ix_trigger_parked_user_id"), "trigger_parked", ["user_id"], unique=False)
    op.create_index(
        "ix_trigger_parked_open",
        "trigger_parked",
        ["seq"],
        unique=False,
        postgresql_where=sa.text("state = 'parked'"),
        sqlite_where=sa.text("state = 'parked'"),
    )
    # What happened before there were triggers is history: it must not set any of them off now.
    connection = op.get_bind()
    numbered = connection.execute(sa.text("SELECT seq FROM stream_positions WHERE reader = 'numbering'")).scalar() or 0
    fresh = connection.execute(
        sa.text(
            "UPDATE events SET seq = numbered.place + :base FROM (SELECT id, row_number() OVER (ORDER BY id) AS place "
            "FROM events WHERE seq IS NULL) AS numbered WHERE events.id = numbered.id"
        ),
        {"base": numbered},
    ).rowcount
    if fresh:
        moved = connection.execute(
            sa.text("UPDATE stream_positions SET seq = :seq WHERE reader = 'numbering'"), {"seq": numbered + fresh}
        ).rowcount
        if not moved:
            connection.execute(
                sa.text("INSERT INTO stream_positions (reader, seq) VALUES ('numbering', :seq)"), {"seq": fresh}
            )
    op.execute(
        "INSERT INTO stream_positions (reader, seq) "
        "SELECT 'triggers', seq FROM stream_positions WHERE reader = 'numbering'"
    )
