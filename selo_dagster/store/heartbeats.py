"""Heartbeats of whatever should never fall silent, by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, String, Table, delete, insert, select, update

from selo_dagster.store.base import metadata
from selo_dagster.store.types import Document, UTCDateTime, database_now

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("detail", Document, nullable=False),
)


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life of one thing. age_s: seconds since then, by the database's clock."""

    name: str
    age_s: float
    detail: dict[str, Any]


def beat(connection: Connection, name: str, detail: dict[str, Any]) -> None:
    """Leave a sign of life. detail: counts only."""
    seen = connection.execute(
        update(heartbeats).where(heartbeats.c.name == name).values(at=database_now(), detail=detail)
    ).rowcount
    if not seen:
        connection.execute(insert(heartbeats).values(name=name, at=database_now(), detail=detail))


def forget(connection: Connection, *names: str) -> None:
    """Take signs of life back: what ends on purpose does not fall silent. Without names: all of them."""
    connection.execute(delete(heartbeats).where(*([heartbeats.c.name.in_(names)] if names else [])))


def heartbeats_now(connection: Connection) -> list[Heartbeat]:
    """Return every heartbeat with its age."""
    rows = connection.execute(
        select(heartbeats.c.name, heartbeats.c.at, heartbeats.c.detail, database_now().label("now")).order_by(
            heartbeats.c.name
        )
    )
    return [Heartbeat(row.name, max(0.0, (row.now - row.at).total_seconds()), row.detail) for row in rows]
