"""What evaluations found of models and prompts, and which of these configurations is the accepted one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Connection, Index, Integer, String, Table, select, text, update

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, UTCDateTime

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at", UTCDateTime, nullable=False, comment="by the domain's clock"),
    Column("model", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False, comment="of prompts, schemas and model: what is accepted"),
    Column("cases", String(20), nullable=False, comment="version of the bundled cases"),
    Column("digest", String(16), nullable=False, comment="of the bundled cases: other ones cannot be compared"),
    Column("scores", Document, nullable=False, comment="{measure: 0-1}"),
    Column("report", Document, nullable=False, comment="counts and ids of bundled cases; nothing of anybody's"),
    Column("number", Integer, nullable=False, comment="cases that were played"),
    Column("whole", Boolean, nullable=False, comment="every family was asked for, and everything was measured"),
    Column("accepted_at", UTCDateTime, comment="since when it is, or was, the accepted configuration"),
    Index("ix_evaluations_at", "at"),
    Index(
        "ix_evaluations_accepted_at",
        "accepted_at",
        postgresql_where=text("accepted_at IS NOT NULL"),
        sqlite_where=text("accepted_at IS NOT NULL"),
    ),
    comment="of bundled cases: about nobody",
)


def keep(connection: Connection, **values: Any) -> None:
    """Store one evaluation. values: every column but accepted_at."""
    connection.execute(evaluations.insert().values(values))


def accept(connection: Connection, evaluation_id: str, at: Any) -> None:
    """Let an evaluation's configuration be the accepted one from now on."""
    connection.execute(update(evaluations).where(evaluations.c.id == evaluation_id).values(accepted_at=at))


def accepted(connection: Connection) -> Any | None:
    """Return the row of the evaluation that is the accepted one, None where nothing was accepted yet."""
    return connection.execute(_newest_accepted(select(evaluations))).one_or_none()


def accepted_fingerprint(connection: Connection) -> str | None:
    """Return the fingerprint that is accepted: one look-up by an index."""
    return connection.execute(_newest_accepted(select(evaluations.c.fingerprint))).scalar()


def _newest_accepted(statement: Any) -> Any:
    return (
        statement.where(evaluations.c.accepted_at.is_not(None))
        .order_by(evaluations.c.accepted_at.desc(), evaluations.c.id.desc())
        .limit(1)
    )


def newest(connection: Connection, limit: int) -> list[Any]:
    """Return the newest evaluations, newest first."""
    return list(
        connection.execute(
            select(evaluations).order_by(evaluations.c.at.desc(), evaluations.c.id.desc()).limit(limit)
        ).all()
    )
