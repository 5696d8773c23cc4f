"""Who is due, to read."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import and_, or_, select

from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import Instant, Paged, Text, Told
from selo_dagster.operations.http.api.paging import cursor_of, place_of
from selo_dagster.operations.http.api.reflections import Kind, ledger


class Wanted(Paged):
    """Which obligations."""

    kind: Kind | None = Field(None, description="Only this kind.")
    user: Text | None = Field(None, description="Only this person.", examples=["ana"])


class OneDueTold(Told):
    """One obligation that a run may take now. since: when it became due."""

    id: int
    user: str
    kind: str
    on: date
    state: str
    reason: str | None
    since: Instant
    ready_at: Instant
    attempts: int


class DueTold(Told):
    """A page of what is due, the latest dates first. next: the cursor of the page after; null on the last one."""

    due: list[OneDueTold]
    next: str | None


_COLUMNS = [ledger.c["user_id" if field == "user" else field].label(field) for field in OneDueTold.model_fields]


def add(calls: Calls) -> None:
    """Add the call that reads who is due."""
    store, clock = calls.served.store, calls.served.clock

    @calls.reads("/api/due", DueTold)
    def list_due(wanted: Annotated[Wanted, Query()]) -> Any:
        """List what a run may take now, as the schedules saw it last: reading enrols nobody."""
        given = {"user_id": wanted.user, "kind": wanted.kind}
        chosen = [ledger.c[name] == value for name, value in given.items() if value is not None]
        if wanted.cursor is not None:
            on, place = place_of(wanted.cursor, date, int)
            chosen.append(or_(ledger.c.on < on, and_(ledger.c.on == on, ledger.c.id > place)))
        with store.read() as connection:
            rows = connection.execute(
                select(*_COLUMNS)
                .where(ledger.c.ready_at <= clock.now(), *chosen)
                .order_by(ledger.c.on.desc(), ledger.c.id)
                .limit(wanted.limit + 1)
            ).mappings()
            found = [dict(row) for row in rows]
        page = found[: wanted.limit]
        more = len(found) > wanted.limit
        return {"due": page, "next": cursor_of(page[-1]["on"], page[-1]["id"]) if more else None}
