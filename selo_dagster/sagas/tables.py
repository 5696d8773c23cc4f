"""Tables of the sagas room: the journal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

from selo_dagster.sagas.states import DIRECTIONS, SAGA_STATES, STEP_STATES
from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Identifier, Serial, UTCDateTime, database_now


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_UNSHOWN = "ended_at IS NOT NULL AND shown_by IS NULL"
_OPEN = "state IN ('pending', 'running', 'waiting', 'compensating')"

sagas = Table(
    "sagas",
    metadata,
    Column("place", Serial, primary_key=True, autoincrement=True, comment="in the person's queue: first in, first out"),
    Column("id", String(32), nullable=False, unique=True),
    Column("type", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key", Identifier, nullable=False, comment="business key: the same one starts once"),
    Column("input", Document, nullable=False, comment="private"),
    Column("state", String(24), nullable=False),
    Column("direction", String(10), nullable=False),
    Column(
        "generation", Integer, nullable=False, server_default=text("1"), comment="a restart after an undo is a new one"
    ),
    Column("epoch", Integer, nullable=False, server_default=text("0"), comment="fencing token: claims so far"),
    Column("run_id", String(64), comment="the run that holds it, or held it last"),
    Column("lease_until", UTCDateTime, comment="by the database's clock; NULL: nobody holds it"),
    Column("progressed", Boolean, nullable=False, server_default=text("false"), comment="since it was claimed last"),
    Column("lost", Integer, nullable=False, server_default=text("0"), comment="claims without progress in a row"),
    Column("next_attempt_at", UTCDateTime, comment="by the domain's clock"),
    Column("reason", String(80), comment="why it waits, is parked, or goes back"),
    Column("error", Document, comment="step, class and code of what failed; no text of anybody"),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("paused_from", String(24), comment="state to go on in"),
    Column("created_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("deadline_at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column(
        "waits_since", UTCDateTime, comment="for room or its model, by the domain's clock; its deadline moves as long"
    ),
    Column("asked_at", UTCDateTime, default=database_now(), comment="by the database's clock"),
    Column("started_at", UTCDateTime, comment="by the database's clock"),
    Column("turned_at", UTCDateTime, comment="when it last began to go back, by the database's clock"),
    Column("takeovers", Integer, nullable=False, server_default=text("0"), comment="claims that were taken back"),
    Column("ended_at", UTCDateTime, comment="by the domain's clock"),
    Column("changed_at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Column("shown_by", String(64), comment="the run that showed its end in Dagster"),
    UniqueConstraint("type", "user_id", "key"),
    CheckConstraint(f"state IN ({_listed(SAGA_STATES)})", name="state_known"),
    CheckConstraint(f"direction IN ({_listed(DIRECTIONS)})", name="direction_known"),
    Index(
        "ix_sagas_open",
        "type",
        "direction",
        "place",
        postgresql_where=text(_OPEN),
        sqlite_where=text(_OPEN),
    ),
    Index("ix_sagas_user", "user_id", "place"),
    Index("ix_sagas_state", "state", "type"),
    Index(
        "ix_sagas_run", "run_id", postgresql_where=text("run_id IS NOT NULL"), sqlite_where=text("run_id IS NOT NULL")
    ),
    Index(
        "ix_sagas_unshown",
        "type",
        "place",
        postgresql_where=text(_UNSHOWN),
        sqlite_where=text(_UNSHOWN),
    ),
    sqlite_autoincrement=True,
)

saga_steps = Table(
    "saga_steps",
    metadata,
    Column("saga_id", String(32), ForeignKey("sagas.id", ondelete="CASCADE"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("step", String(40), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("output", Document, comment="private"),
    Column("undo", Document, comment="what its compensation needs; private"),
    Column("effects", Document, comment="[[target, before, after]]"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("undo_attempts", Integer, nullable=False, server_default=text("0")),
    Column("epoch", Integer, nullable=False, comment="of the claim that wrote it last"),
    Column("error", Document, comment="class and code of its last failure"),
    Column("began_at", UTCDateTime, comment="by the database's clock"),
    Column("done_at", UTCDateTime, comment="by the database's clock"),
    Column("undone_at", UTCDateTime, comment="by the database's clock"),
    Column("seconds", Float, comment="of the action, of its last try"),
    Column("undo_seconds", Float),
    CheckConstraint(f"state IN ({_listed(STEP_STATES)})", name="state_known"),
    comment="one row a step and generation: the barrier between doing and undoing",
)

saga_attempts = Table(
    "saga_attempts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("saga_id", String(32), ForeignKey("sagas.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("step", String(40), nullable=False),
    Column("direction", String(10), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("run_id", String(64)),
    Column("outcome", String(20), nullable=False),
    Column("error", Document, comment="class and code"),
    Column("at", UTCDateTime, nullable=False, default=database_now()),
    Column("seconds", Float),
    sqlite_autoincrement=True,
    comment="tries that did not end well; one that did is the step's row",
)

saga_locks = Table(
    "saga_locks",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("saga_id", String(32), ForeignKey("sagas.id", ondelete="CASCADE"), nullable=False, index=True),
    comment="whose saga is under way: one at a time a person, until it has ended either way",
)

saga_definitions = Table(
    "saga_definitions",
    metadata,
    Column("type", String(40), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("document", Document, nullable=False),
    Column("first_used_at", UTCDateTime, nullable=False, default=database_now()),
)

saga_alerts = Table(
    "saga_alerts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("saga_id", String(32), ForeignKey("sagas.id", ondelete="CASCADE"), nullable=False),
    Column("code", String(40), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("detail", Document, nullable=False, comment="ids, codes and numbers"),
    Column("created_at", UTCDateTime, nullable=False, default=database_now()),
    Column("delivered_at", UTCDateTime),
    Column("resolved_at", UTCDateTime),
    UniqueConstraint("saga_id", "code", "generation", "epoch"),
    Index(
        "ix_saga_alerts_open",
        "id",
        postgresql_where=text("resolved_at IS NULL"),
        sqlite_where=text("resolved_at IS NULL"),
    ),
    sqlite_autoincrement=True,
    comment="written with the change of state that they are about; delivered afterwards",
)

saga_interventions = Table(
    "saga_interventions",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("saga_id", String(32), ForeignKey("sagas.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("action", String(20), nullable=False),
    Column("step", String(40)),
    Column("actor", String(200), nullable=False),
    Column("because", Text, nullable=False),
    Column("before", String(24), nullable=False, comment="state of the saga, or of the step, before"),
    Column("after", String(24), nullable=False),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    sqlite_autoincrement=True,
    comment="what people did to sagas, and why",
)
