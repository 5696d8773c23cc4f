"""The reflection ledger, to read: what was owed to whom, and what became of it. Never what anybody wrote or thought."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import select

from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.fields import Day, Instant, OneOf, Paged, Text, Told
from selo_dagster.operations.http.api.paging import cursor_of, place_of
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import STATES
from selo_dagster.reflections.tables import reflection_ledger, reflections

ledger = reflection_ledger
Kind = Annotated[str, OneOf(tuple(KINDS))]
State = Annotated[str, OneOf(STATES)]


class Wanted(Paged):
    """Which obligations."""

    user: Text | None = Field(None, description="Only this person.", examples=["ana"])
    kind: Kind | None = Field(None, description="Only this kind.")
    state: State | None = Field(None, description="Only in this state, or with this outcome.")
    since: Day | None = Field(None, alias="from", description="Only with this `on` or a later one.")
    until: Day | None = Field(None, alias="to", description="Only with this `on` or an earlier one.")


class ObligationTold(Told):
    """One obligation: this person, this kind, this local date.

    version: the one that is, or was last, to be made; reflection: the id of what holds; head: its version. tainted: it
    was made from something that tried to give an order, or came from an untrusted writer.
    """

    id: int
    user: str
    kind: str
    on: date
    state: str
    reason: str | None
    codes: list[str] | None
    version: int
    since: Instant
    ready_at: Instant | None
    settled_at: Instant | None
    attempts: int
    lost: int
    seconds: float | None
    model_calls: int
    input_tokens: int
    output_tokens: int
    words: int | None
    run: str | None
    reflection: str | None
    head: int | None
    tainted: bool


class ObligationsTold(Told):
    """A page of obligations, newest first. next: the cursor of the page after; null on the last one."""

    reflections: list[ObligationTold]
    next: str | None


_NAMES = {"user_id": "user", "run_id": "run", "reflection_id": "reflection"}
_COLUMNS = [
    ledger.c[{told: name for name, told in _NAMES.items()}.get(field, field)].label(field)
    for field in ObligationTold.model_fields
    if field != "head"
]
_COLUMNS.append(reflections.c.version.label("head"))


def add(calls: Calls) -> None:
    """Add the calls that read the ledger."""
    store = calls.served.store

    @calls.reads("/api/reflections", ObligationsTold)
    def list_reflections(wanted: Annotated[Wanted, Query()]) -> Any:
        """List obligations of the reflection ledger, newest first: states, reasons, dates and numbers."""
        given = {"user_id": wanted.user, "kind": wanted.kind, "state": wanted.state}
        chosen = [ledger.c[name] == value for name, value in given.items() if value is not None]
        if wanted.since is not None:
            chosen.append(ledger.c.on >= wanted.since)
        if wanted.until is not None:
            chosen.append(ledger.c.on <= wanted.until)
        if wanted.cursor is not None:
            chosen.append(ledger.c.id < place_of(wanted.cursor, int)[0])
        with store.read() as connection:
            rows = connection.execute(
                select(*_COLUMNS)
                .select_from(ledger.outerjoin(reflections, reflections.c.id == ledger.c.reflection_id))
                .where(*chosen)
                .order_by(ledger.c.id.desc())
                .limit(wanted.limit + 1)
            ).mappings()
            found = [dict(row) for row in rows]
        page = found[: wanted.limit]
        return {"reflections": page, "next": cursor_of(page[-1]["id"]) if len(found) > wanted.limit else None}
