"""Alerts, to read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import ColumnElement, select

from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import Instant, OneOf, Paged, Text, Told
from selo_dagster.operations.http.api.paging import cursor_of, place_of
from selo_dagster.operations.problems import runbook_of

OPEN, RESOLVED = "open", "resolved"
State = Annotated[str, OneOf((OPEN, RESOLVED))]


class Wanted(Paged):
    """Which alerts."""

    state: State | None = Field(None, description="Only those that are open, or resolved.")
    code: Text | None = Field(None, description="Only with this code.", examples=["dead"])


class AlertTold(Told):
    """One alert. code: its heading in the runbook; subject: a kind, a saga's type, a sensor; never a person."""

    id: int
    code: str
    subject: str
    message: str
    state: State
    times: int
    opened_at: Instant
    seen_at: Instant
    cleared_at: Instant | None
    resolved_at: Instant | None
    runbook: str


class AlertsTold(Told):
    """A page of alerts, newest first. next: the cursor of the page after; null on the last one."""

    alerts: list[AlertTold]
    next: str | None


def add(calls: Calls) -> None:
    """Add the call that reads alerts."""
    store = calls.served.store

    @calls.reads("/api/alerts", AlertsTold)
    def list_alerts(wanted: Annotated[Wanted, Query()]) -> Any:
        """List alerts, newest first."""
        chosen: list[ColumnElement[bool]] = [] if wanted.code is None else [alerts.c.code == wanted.code]
        if wanted.state is not None:
            is_open = alerts.c.resolved_at.is_(None)
            chosen.append(is_open if wanted.state == OPEN else ~is_open)
        if wanted.cursor is not None:
            chosen.append(alerts.c.id < place_of(wanted.cursor, int)[0])
        with store.read() as connection:
            rows = connection.execute(
                select(alerts).where(*chosen).order_by(alerts.c.id.desc()).limit(wanted.limit + 1)
            ).mappings()
            found = [_told(row) for row in rows]
        page = found[: wanted.limit]
        return {"alerts": page, "next": cursor_of(page[-1]["id"]) if len(found) > wanted.limit else None}


def _told(row: Any) -> dict[str, Any]:
    state = OPEN if row["resolved_at"] is None else RESOLVED
    return {**row, "state": state, "runbook": runbook_of(row["code"])}
