"""Whose turn it is: what a run claims at once is shared, so that nobody with much to do delays the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, true

from selo_dagster.people.tables import users
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.tables import reflection_ledger

ledger = reflection_ledger

NOBODY: Final = ""
"""Stands for no tenant where one is compared; no tenant is called so."""

LONGEST_PAUSE: Final = 8
"""Claims between two looks for whoever had nothing, at most. A look may read all that is ready."""

Ready = Callable[[int, "ColumnElement[bool]"], "list[int]"]
"""(rows at most, condition) -> ids of rows that are ready, locked, in the order in which they are to be made."""


@dataclass
class Turns:
    """One run's memory of whose turn is next. per_person: rows of one person of which one claim takes no more.

    Tenants have equal parts of a claim as long as each has something ready; what one leaves goes to the others with
    the next claim. People without a tenant are one more. Where there is no tenant at all, nothing is asked for it.
    Whoever had nothing is out of turn. All of them are looked for together, after one claim, two more, four more and
    then after every eight, and have one part of that claim; whoever is found has a turn again.
    """

    per_person: int
    _waiting: deque[str | None] | None = field(default=None, repr=False)
    _pause: int = field(default=1, repr=False)
    _since_look: int = field(default=0, repr=False)

    def choose(self, connection: Connection, limit: int, ready: Ready) -> list[int]:
        """Return ids of up to `limit` ready rows. Fewer do not mean that there are no more; none does."""
        if self._waiting is None:
            self._waiting = deque(_tenants(connection))
        if not self._waiting:
            return ready(limit, true())
        asked = list(self._waiting)
        looks = self._since_look >= self._pause
        chosen = self._out_of_turn(connection, max(1, limit // (len(asked) + 1)), ready) if looks else []
        if looks:
            self._since_look, self._pause = 0, min(LONGEST_PAUSE, 2 * self._pause)
        else:
            self._since_look += 1
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
        if not chosen and not looks:
            chosen = self._out_of_turn(connection, limit, ready)
        if not self._waiting:
            # Each had nothing when it was asked last; somebody may have got something since.
            self._waiting = None
        return chosen

    def _out_of_turn(self, connection: Connection, most: int, ready: Ready) -> list[int]:
        """Return ids of ready rows of those whose turn never comes, and let them have turns from now on."""
        assert self._waiting is not None  # noqa: S101 - asked only where there are turns
        found = ready(most, _tenant().not_in([tenant or NOBODY for tenant in self._waiting]))
        if found:
            theirs = select(_tenant()).where(ledger.c.id.in_(found)).distinct().order_by(_tenant())
            self._waiting += [tenant or None for tenant in connection.execute(theirs).scalars()]
        return found


def first_of_each(
    kind: Kind, now: datetime, per_person: int, *, lost_below: int, by_age: bool
) -> list[ColumnElement[bool]]:
    """Return the conditions on a ready row that fewer than `per_person` of its person's stand before it.

    Kinds with dates need none: each person has one row a date, and dates go one after the other. lost_below: rows that
    were lost more often stand before nobody. by_age: the order is that after an outage.
    """
    if kind.cadence.dated:
        return []
    own, ahead = ledger.c, ledger.alias().c
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


def _tenant() -> ColumnElement[str]:
    """Return the tenant of a row's person. Looked up row by row: cheaper than to share each row out first."""
    theirs = select(users.c.tenant).where(users.c.id == ledger.c.user_id).scalar_subquery()
    return func.coalesce(theirs, NOBODY)


def _of(tenant: str | None) -> ColumnElement[bool]:
    theirs = users.c.tenant.is_(None) if tenant is None else users.c.tenant == tenant
    return exists().where(users.c.id == ledger.c.user_id, theirs)
