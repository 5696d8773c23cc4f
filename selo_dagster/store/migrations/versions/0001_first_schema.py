"""First schema: people, memory with its event stream, reflections with their ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from selo_dagster.store.types import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
REFERENCE = sa.String(240).with_variant(sa.String(240, collation="C"), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# type, payload: what the stream says of a new row. Ids and numbers only, never what a person wrote.
STREAMED = {
    "messages": ("message", "message_created", "id", "at", {"role": "role"}),
    "memories": ("memory", "memory_created", "id", "at", {"importance": "importance"}),
    "user_statements": ("user", "user_stated", None, "since", {"zone": "zone"}),
}


def _instant_form(column: str, name: str) -> sa.CheckConstraint:
    form = "????-??-??T??:??:??.??????Z"
    return sa.CheckConstraint(f"{column} GLOB '{form}'", name=op.f(name)).ddl_if(dialect="sqlite")


def _postgresql_stream() -> None:
    for table, (origin, event, ref, at, payload) in STREAMED.items():
        pairs = ", ".join(f"'{name}', added.{column}" for name, column in payload.items())
        reference = (
            f"added.{ref}"
            if ref
            else (
                "added.user_id || '@' || to_char(added.since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            )
        )
        op.execute(f"""
            CREATE FUNCTION selo_{table}_stream() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO events (origin, ref, type, user_id, at, payload, created_at)
                SELECT '{origin}', {reference}, '{event}', added.user_id, added.{at},
                       jsonb_build_object({pairs}), clock_timestamp()
                FROM added;
                RETURN NULL;
            END $$""")
        op.execute(f"""
            CREATE TRIGGER selo_{table}_stream AFTER INSERT ON {table}
            REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION selo_{table}_stream()""")


def _sqlite_stream() -> None:
    for table, (origin, event, ref, at, payload) in STREAMED.items():
        pairs = ", ".join(f"'{name}', NEW.{column}" for name, column in payload.items())
        reference = f"NEW.{ref}" if ref else "NEW.user_id || '@' || NEW.since"
        op.execute(f"""
            CREATE TRIGGER selo_{table}_stream AFTER INSERT ON {table} BEGIN
                INSERT INTO events (origin, ref, type, user_id, at, payload, created_at)
                VALUES ('{origin}', {reference}, '{event}', NEW.user_id, NEW.{at},
                        json_object({pairs}), strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'));
            END""")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "stream_positions",
        sa.Column("reader", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the last number that was given out or read"),
        sa.PrimaryKeyConstraint("reader", name=op.f("pk_stream_positions")),
    )
    op.create_table(
        "users",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("key", IDENTIFIER, nullable=False, comment="partition key in Dagster"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False, comment="zone of the newest statement"),
        sa.Column(
            "moves",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="statements after the first",
        ),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'active'"), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'tombstoned')", name=op.f("ck_users_state_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("key", name=op.f("uq_users_key")),
    )
    op.create_index("ix_users_zone", "users", ["zone"], unique=False)

    op.create_table(
        "conversations",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_conversations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index(op.f("ix_conversations_user_id"), "conversations", ["user_id"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="given to committed rows by the reader"),
        sa.Column(
            "origin",
            sa.String(length=16),
            nullable=False,
            comment="message, memory, event or user: whose id `ref` is",
        ),
        sa.Column("ref", REFERENCE, nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        _instant_form("at", "ck_events_at_form"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_events_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("origin", "ref", name=op.f("uq_events_origin_ref")),
        sa.UniqueConstraint("seq", name=op.f("uq_events_seq")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_events_unnumbered",
        "events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("seq IS NULL"),
        sqlite_where=sa.text("seq IS NULL"),
    )
    op.create_index("ix_events_user_id", "events", ["user_id"], unique=False)

    op.create_table(
        "persona_traits",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.CheckConstraint("value >= 0 AND value <= 1", name=op.f("ck_persona_traits_value_range")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_persona_traits_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_persona_traits")),
    )
    op.create_table(
        "reflection_days",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("on", sa.Date(), nullable=False, comment="a local date on which the person left something to read"),
        sa.Column(
            "enrolled",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="has its row in the ledger",
        ),
        sa.Column(
            "late",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="a source may have come too late",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_days_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "on", name=op.f("pk_reflection_days")),
        comment="what the event stream says there is to read; rebuilt from it, never written by hand",
    )
    op.create_index(
        "ix_reflection_days_late",
        "reflection_days",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("late"),
        sqlite_where=sa.text("late"),
    )
    op.create_index(
        "ix_reflection_days_open",
        "reflection_days",
        ["on", "user_id"],
        unique=False,
        postgresql_where=sa.text("NOT enrolled"),
        sqlite_where=sa.text("NOT enrolled"),
    )

    op.create_table(
        "reflection_ledger",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("on", sa.Date(), nullable=False, comment="the last local date that it covers"),
        sa.Column("key", IDENTIFIER, nullable=False, comment="the date for timed kinds, else the cause's id"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=True),
        sa.Column("codes", DOCUMENT, nullable=True, comment="violation codes of a rejected answer"),
        sa.Column("since", UTCDateTime(), nullable=False, comment="the instant at which it became due"),
        sa.Column(
            "ready_at",
            UTCDateTime(),
            nullable=True,
            comment="may be claimed from then, by the domain's clock; NULL: settled or claimed",
        ),
        sa.Column(
            "version",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="version that it makes",
        ),
        sa.Column(
            "request_id",
            sa.String(length=64),
            nullable=True,
            comment="the explicit request that asked for it last",
        ),
        sa.Column(
            "epoch",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="fencing token: claims so far",
        ),
        sa.Column("run_id", sa.String(length=64), nullable=True, comment="the run that holds or settled it"),
        sa.Column("lease_until", UTCDateTime(), nullable=True, comment="by the database's clock"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "lost",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="attempts whose claim was lost",
        ),
        sa.Column("settled_at", UTCDateTime(), nullable=True),
        sa.Column(
            "reported_by",
            sa.String(length=64),
            nullable=True,
            comment="the run that showed the outcome in Dagster",
        ),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("model_calls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("input_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("words", sa.Integer(), nullable=True),
        sa.Column("reflection_id", sa.String(length=32), nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'claimed', 'done', 'unchanged', 'skipped', 'deferred', 'rejected', 'failed', 'dead')",
            name=op.f("ck_reflection_ledger_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflection_ledger_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflection_ledger")),
        sa.UniqueConstraint("user_id", "kind", "key", name=op.f("uq_reflection_ledger_user_id_kind_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reflection_ledger_kind_on", "reflection_ledger", ["kind", "on", "state"], unique=False)
    op.create_index(
        "ix_reflection_ledger_lease",
        "reflection_ledger",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'claimed'"),
        sqlite_where=sa.text("state = 'claimed'"),
    )
    op.create_index("ix_reflection_ledger_run", "reflection_ledger", ["run_id"], unique=False)
    op.create_index(
        "ix_reflection_ledger_unreported",
        "reflection_ledger",
        ["kind", "id"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NOT NULL AND reported_by IS NULL"),
        sqlite_where=sa.text("settled_at IS NOT NULL AND reported_by IS NULL"),
    )

    op.create_table(
        "reflections",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("key", IDENTIFIER, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("themes", DOCUMENT, nullable=False),
        sa.Column("insights", DOCUMENT, nullable=False, comment="[{text, evidence: [source ids]}]"),
        sa.Column("actions", DOCUMENT, nullable=False),
        sa.Column("emotional_state", DOCUMENT, nullable=False),
        sa.Column("trait_changes", DOCUMENT, nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("zone_rules", sa.String(length=80), nullable=False),
        sa.Column("window_start", UTCDateTime(), nullable=False),
        sa.Column("window_end", UTCDateTime(), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False, comment="SHA-256 of what the model was shown"),
        sa.Column("created_at", UTCDateTime(), nullable=False, comment="by the domain's clock"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reflections_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflections")),
        sa.UniqueConstraint("user_id", "kind", "key", "version", name=op.f("uq_reflections_user_id_kind_key_version")),
    )
    op.create_index("ix_reflections_user_on", "reflections", ["user_id", "kind", "on"], unique=False)

    op.create_table(
        "user_statements",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False, comment="holds from then; the first holds before it too"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        _instant_form("since", "ck_user_statements_since_form"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_statements_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "since", name=op.f("pk_user_statements")),
    )
    op.create_table(
        "messages",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("conversation_id", IDENTIFIER, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        _instant_form("at", "ck_messages_at_form"),
        sa.CheckConstraint("role IN ('user', 'assistant', 'system')", name=op.f("ck_messages_role_known")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_conversation_id"), "messages", ["conversation_id"], unique=False)
    op.create_index("ix_messages_user_at", "messages", ["user_id", "at"], unique=False)

    op.create_table(
        "reflection_attempts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("ledger_id", SERIAL, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=16), server_default=sa.text("'running'"), nullable=False),
        sa.Column("error_class", sa.String(length=120), nullable=True),
        sa.Column("model_calls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("codes", DOCUMENT, nullable=True),
        sa.Column(
            "answer",
            sa.Text(),
            nullable=True,
            comment="a rejected answer as the model gave it, cut to a bound",
        ),
        sa.ForeignKeyConstraint(
            ["ledger_id"],
            ["reflection_ledger.id"],
            name=op.f("fk_reflection_attempts_ledger_id_reflection_ledger"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reflection_attempts")),
        sa.UniqueConstraint("ledger_id", "number", name=op.f("uq_reflection_attempts_ledger_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "reflection_sources",
        sa.Column("reflection_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False, comment="message, memory or reflection"),
        sa.Column("source_id", IDENTIFIER, nullable=False),
        sa.Column("use", sa.String(length=8), nullable=False, comment="cited, read, or dropped for want of room"),
        sa.CheckConstraint("use IN ('cited', 'read', 'dropped')", name=op.f("ck_reflection_sources_use_known")),
        sa.ForeignKeyConstraint(
            ["reflection_id"],
            ["reflections.id"],
            name=op.f("fk_reflection_sources_reflection_id_reflections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reflection_id", "source", "source_id", name=op.f("pk_reflection_sources")),
    )
    op.create_index("ix_reflection_sources_source", "reflection_sources", ["source", "source_id"], unique=False)

    op.create_table(
        "memories",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("importance", sa.Float(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("message_id", IDENTIFIER, nullable=True),
        sa.Column("tags", DOCUMENT, server_default="[]", nullable=False),
        _instant_form("at", "ck_memories_at_form"),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_memories_confidence_range")),
        sa.CheckConstraint("importance >= 0 AND importance <= 1", name=op.f("ck_memories_importance_range")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_memories_message_id_messages"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memories_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memories")),
    )
    op.create_index(op.f("ix_memories_message_id"), "memories", ["message_id"], unique=False)
    op.create_index("ix_memories_user_at", "memories", ["user_id", "at"], unique=False)
    op.create_index(
        "ix_reflection_ledger_ready",
        "reflection_ledger",
        ["kind", sa.text('"on" DESC'), "id"],
        postgresql_where=sa.text("ready_at IS NOT NULL"),
        sqlite_where=sa.text("ready_at IS NOT NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_stream()
    else:
        _sqlite_stream()
