"""Signals: what somebody has to know of, left in the transaction that makes it so. Told afterwards, never lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, String, Table, insert

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, Serial, UTCDateTime, database_now

alert_signals = Table(
    "alert_signals",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("code", String(40), nullable=False),
    Column("subject", String(80), nullable=False, comment="a kind, a saga's type, a reader: never a person"),
    Column("detail", Document, nullable=False, comment="codes and numbers"),
    Column("at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    sqlite_autoincrement=True,
    comment="an outbox: only added to, folded into the alerts and deleted afterwards",
)


@dataclass(frozen=True)
class Signal:
    """One thing that somebody has to know of. code: as in the runbook; subject: what it is about, never a person."""

    code: str
    subject: str
    detail: dict[str, Any]


def signal(connection: Connection, signals: Sequence[Signal]) -> None:
    """Leave signals with the change of state that they are about. Rows are only added: nobody waits for anybody."""
    if signals:
        connection.execute(
            insert(alert_signals),
            [{"code": one.code, "subject": one.subject, "detail": one.detail} for one in signals],
        )
