"""Tables of the reflections room."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from selo_dagster.reflections.states import STATES
from selo_dagster.store.base import metadata, tainted
from selo_dagster.store.types import Document, Identifier, Serial, UTCDateTime, database_now

_STATE_LIST = ", ".join(f"'{state}'" for state in STATES)

reflection_days = Table(
    "reflection_days",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("on", Date, primary_key=True, comment="a local date on which the person left something to read"),
    Column("enrolled", Boolean, nullable=False, server_default=text("false"), comment="has its row in the ledger"),
    Column("late", Boolean, nullable=False, server_default=text("false"), comment="a source may have come too late"),
    Index(
        "ix_reflection_days_open",
        "on",
        "user_id",
        postgresql_where=text("NOT enrolled"),
        sqlite_where=text("NOT enrolled"),
    ),
    Index("ix_reflection_days_late", "user_id", postgresql_where=text("late"), sqlite_where=text("late")),
    comment="what the event stream says there is to read; rebuilt from it, never written by hand",
)

reflection_ledger = Table(
    "reflection_ledger",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("on", Date, nullable=False, comment="the last local date that it covers"),
    Column("key", Identifier, nullable=False, comment="the date for timed kinds, else the cause's id"),
    Column("state", String(16), nullable=False),
    Column("reason", String(80)),
    Column("codes", Document, comment="violation codes of a rejected answer"),
    Column("since", UTCDateTime, nullable=False, comment="the instant at which it became due"),
    Column(
        "ready_at", UTCDateTime, comment="may be claimed from then, by the domain's clock; NULL: settled or claimed"
    ),
    Column("version", Integer, nullable=False, server_default=text("1"), comment="version that it makes"),
    Column(
        "evolve",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="a new version undoes what the former one asked for, and asks for its own",
    ),
    Column("request_id", String(64), comment="the explicit request that asked for it last"),
    Column("epoch", Integer, nullable=False, server_default=text("0"), comment="fencing token: claims so far"),
    Column("run_id", String(64), comment="the run that holds or settled it"),
    Column("lease_until", UTCDateTime, comment="by the database's clock"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("forgiven", Integer, nullable=False, server_default=text("0"), comment="attempts before the last request"),
    Column("lost", Integer, nullable=False, server_default=text("0"), comment="attempts whose claim was lost"),
    Column("settled_at", UTCDateTime),
    Column("reported_by", String(64), comment="the run that showed the outcome in Dagster"),
    Column("seconds", Float),
    Column("model_calls", Integer, nullable=False, server_default=text("0")),
    Column("input_tokens", Integer, nullable=False, server_default=text("0")),
    Column("output_tokens", Integer, nullable=False, server_default=text("0")),
    Column("words", Integer),
    Column("reflection_id", String(32)),
    Column("tainted", Boolean, nullable=False, server_default=text("false"), comment="what it made is"),
    Column("cause", Document, comment="what asked for it, for kinds that something causes: rule, memories, context"),
    UniqueConstraint("user_id", "kind", "key"),
    CheckConstraint(f"state IN ({_STATE_LIST})", name="state_known"),
    Index(
        "ix_reflection_ledger_ready",
        "kind",
        text('"on" DESC'),
        "id",
        postgresql_where=text("ready_at IS NOT NULL"),
        sqlite_where=text("ready_at IS NOT NULL"),
    ),
    Index(
        "ix_reflection_ledger_lease",
        "lease_until",
        postgresql_where=text("state = 'claimed'"),
        sqlite_where=text("state = 'claimed'"),
    ),
    Index(
        "ix_reflection_ledger_unreported",
        "kind",
        "id",
        postgresql_where=text("settled_at IS NOT NULL AND reported_by IS NULL"),
        sqlite_where=text("settled_at IS NOT NULL AND reported_by IS NULL"),
    ),
    Index(
        "ix_reflection_ledger_waiting",
        "kind",
        "on",
        postgresql_where=text("state = 'deferred' AND ready_at IS NULL"),
        sqlite_where=text("state = 'deferred' AND ready_at IS NULL"),
    ),
    Index(
        "ix_reflection_ledger_caused",
        "user_id",
        "kind",
        "on",
        "id",
        postgresql_where=text("ready_at IS NOT NULL AND cause IS NOT NULL"),
        sqlite_where=text("ready_at IS NOT NULL AND cause IS NOT NULL"),
    ),
    Index(
        "ix_reflection_ledger_tainted",
        "settled_at",
        postgresql_where=text("tainted"),
        sqlite_where=text("tainted"),
    ),
    Index("ix_reflection_ledger_run", "run_id"),
    Index("ix_reflection_ledger_kind_on", "kind", "on", "state"),
    sqlite_autoincrement=True,
)

reflection_attempts = Table(
    "reflection_attempts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("ledger_id", ForeignKey("reflection_ledger.id", ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("started_at", UTCDateTime, nullable=False, default=database_now()),
    Column("ended_at", UTCDateTime),
    Column("outcome", String(16), nullable=False, server_default=text("'running'")),
    Column("input_hash", String(64), comment="SHA-256 of what the model was shown"),
    Column("error_class", String(120)),
    Column("model_calls", Integer, nullable=False, server_default=text("0")),
    Column("codes", Document),
    Column("answer", Text, comment="a rejected answer as the model gave it, cut to a bound"),
    UniqueConstraint("ledger_id", "number"),
    sqlite_autoincrement=True,
)

reflections = Table(
    "reflections",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("on", Date, nullable=False),
    Column("key", Identifier, nullable=False),
    Column("version", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("themes", Document, nullable=False),
    Column("insights", Document, nullable=False, comment="[{text, evidence: [source ids]}]"),
    Column("actions", Document, nullable=False),
    Column("emotional_state", Document, nullable=False),
    Column("trait_changes", Document, nullable=False),
    Column("model", String(120), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("zone_rules", String(80), nullable=False),
    Column("window_start", UTCDateTime, nullable=False),
    Column("window_end", UTCDateTime, nullable=False),
    Column("input_hash", String(64), nullable=False, comment="SHA-256 of what the model was shown"),
    tainted(),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("head", Boolean, nullable=False, server_default=text("true"), comment="the version that holds"),
    Column(
        "parents", Document, nullable=False, server_default="[]", comment="ids of the versions that it was to replace"
    ),
    UniqueConstraint("user_id", "kind", "key", "version"),
    Index("ix_reflections_user_on", "user_id", "kind", "on"),
    Index(
        "uq_reflections_head",
        "user_id",
        "kind",
        "key",
        unique=True,
        postgresql_where=text("head"),
        sqlite_where=text("head"),
    ),
)

reflection_head_moves = Table(
    "reflection_head_moves",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reflection_id", String(32), ForeignKey("reflections.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("former_id", String(32), nullable=False, comment="the version that held until then"),
    Column("moved", Boolean, nullable=False, comment="false: the former one holds on"),
    Column("reason", String(40), nullable=False, comment="new_version, loss_guard or rollback"),
    Column("live", Integer, comment="insights of the former one of which a source is still there"),
    Column("lost", Integer, comment="those of them that the new one says nothing of"),
    Column("actor", String(200), nullable=False, comment="who, or which run"),
    Column("because", Text, comment="why, in the words of who did it"),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    sqlite_autoincrement=True,
    comment="what was decided of each version after the first: which one holds since, and why",
)

reflection_sources = Table(
    "reflection_sources",
    metadata,
    Column("reflection_id", String(32), ForeignKey("reflections.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String(16), primary_key=True, comment="message, memory or reflection"),
    Column("source_id", Identifier, primary_key=True),
    Column("use", String(8), nullable=False, comment="cited, read, or dropped for want of room"),
    CheckConstraint("use IN ('cited', 'read', 'dropped')", name="use_known"),
    Index("ix_reflection_sources_source", "source", "source_id"),
)

mantras = Table(
    "mantras",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("on", Date, nullable=False),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("reflection_id", String(32), ForeignKey("reflections.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("model", String(120), nullable=False),
    tainted(),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    UniqueConstraint("user_id", "on", "version"),
)

reflection_one_offs = Table(
    "reflection_one_offs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("cause", Document, nullable=False, comment="rule, memories, context: private"),
    Column("state", String(16), nullable=False, server_default=text("'waiting'")),
    Column("outcome", String(80), comment="what placing it said at once, where no run was needed"),
    Column("placed_at", UTCDateTime, comment="by the domain's clock; after due_at where it came late"),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    CheckConstraint("state IN ('waiting', 'placed', 'cancelled')", name="state_known"),
    Index(
        "ix_reflection_one_offs_waiting",
        "due_at",
        postgresql_where=text("state = 'waiting'"),
        sqlite_where=text("state = 'waiting'"),
    ),
)

reflection_pauses = Table(
    "reflection_pauses",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("kind", String(40), comment="NULL: every kind"),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), index=True, comment="NULL: everybody"),
    Column("since", UTCDateTime, nullable=False),
    Column("until", UTCDateTime, comment="NULL: still paused"),
    Column("because", Text, nullable=False),
    sqlite_autoincrement=True,
)

reflection_cadences = Table(
    "reflection_cadences",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("levels", Document, nullable=False, comment="[[instant, level 0-1]], oldest first, the last hundred"),
    Column("interval_s", Float, nullable=False),
    Column("read_seq", BigInteger, nullable=False, comment="events of the person up to here were read"),
    Column("unread_since", UTCDateTime, comment="instant of the oldest unread word or memory"),
    Column("due_at", UTCDateTime, comment="when what is unread is due"),
    Index(
        "ix_reflection_cadences_due",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
)
