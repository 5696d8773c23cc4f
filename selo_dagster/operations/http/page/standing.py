"""The alerts that are open: since when somebody has been told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from selo_dagster.operations.alerts.tables import alerts


@dataclass(frozen=True)
class Standing:
    """An open alert. since: by the database's clock."""

    code: str
    subject: str
    message: str
    since: datetime


def standing_alerts(connection: Connection) -> tuple[Standing, ...]:
    """Return the open alerts, oldest first."""
    rows = connection.execute(
        select(alerts.c.code, alerts.c.subject, alerts.c.message, alerts.c.opened_at)
        .where(alerts.c.resolved_at.is_(None))
        .order_by(alerts.c.id)
    )
    return tuple(Standing(row.code, row.subject, row.message, row.opened_at) for row in rows)
