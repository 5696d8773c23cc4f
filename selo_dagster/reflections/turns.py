"""Whose turn it is: what a run claims at once is shared, so that nobody with much to do delays the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, true
from sqlalchemy.orm import aliased

from selo_dagster.people.tables import users
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.tables import reflection_ledger

ledger = reflection_ledger

Ready = Callable[[int, "ColumnElement[bool]"], "list[int]"]
"""(rows at most, condition) -> ids of rows that are ready, locked, in the order in which they are to be made."""


@dataclass
class Turns:
    """One run's memory of whose turn is next. per_person: rows of one person of which one claim takes no more.

    Tenants have equal parts of a claim as long as each has something ready; what one leaves goes to the others with
    the next claim. People without a tenant are one more. Where there is no tenant at all, nothing is asked for it.
    """

    per_person: int
    _waiting: deque[str | None] | None = field(default=None, repr=False)

    def choose(self, connection: Connection, limit: int, ready: Ready) -> list[int]:
        """Return ids of up to `limit` ready rows. Fewer do not mean that there are no more; none does."""
        if self._waiting is None:
            self._waiting = deque(_tenants(connection))
        if not self._waiting:
            return ready(limit, true())
        chosen: list[int] = []
        asked = list(self._waiting)
        for number, tenant in enumerate(asked):
            left = limit - len(chosen)
            if left <= 0:
                break
            # Whoever was asked now comes last in the next claim.
            self._waiting.popleft()
            found = ready(max(1, left // (len(asked) - number)), _of(tenant))
            if found:
                self._waiting.append(tenant)
            chosen += found
        if not self._waiting:
            # Each had nothing when it was asked last; somebody may have got something since.
            self._waiting = None
        return chosen


def first_of_each(
    kind: Kind, now: datetime, per_person: int, *, lost_below: int, by_age: bool
) -> list[ColumnElement[bool]]:
    """Return the conditions on a ready row that fewer than `per_person` of its person's stand before it.

    Kinds with dates need none: each person has one row a date, and dates go one after the other. lost_below: rows that
    were lost more often stand before nobody. by_age: the order is that after an outage.
    """
    if kind.cadence.dated:
        return []
    own, ahead = ledger.c, aliased(ledger).c
    earlier: ColumnElement[bool] = (
        or_(ahead.since < own.since, and_(ahead.since == own.since, ahead.id < own.id))
        if by_age
        else or_(ahead.on > own.on, and_(ahead.on == own.on, ahead.id < own.id))
    )
    enough_ahead = (
        select(ahead.id)
        .where(
            ahead.user_id == own.user_id,
            ahead.kind == kind.name,
            ahead.ready_at.is_not(None),
            ahead.ready_at <= now,
            ahead.cause.is_not(None),
            ahead.lost < lost_below,
            earlier,
        )
        .offset(per_person - 1)
        .limit(1)
        .correlate(ledger)
    )
    return [or_(own.cause.is_(None), ~enough_ahead.exists())]


def _tenants(connection: Connection) -> list[str | None]:
    named = select(users.c.tenant).where(users.c.tenant.is_not(None)).distinct().order_by(users.c.tenant)
    found: list[str | None] = list(connection.execute(named).scalars())
    return [*found, None] if found else []


def _of(tenant: str | None) -> ColumnElement[bool]:
    theirs = users.c.tenant.is_(None) if tenant is None else users.c.tenant == tenant
    return exists().where(users.c.id == ledger.c.user_id, theirs)
