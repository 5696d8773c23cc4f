"""How the budgets of a day stand: whether any call has room, and what is shown of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from selo_dagster.llm.budgets.caps import UNITS, Amount, Budget, Cap, Over, Scope, day_of, next_day
from selo_dagster.llm.budgets.money import shown
from selo_dagster.llm.budgets.tables import FLEET, KIND, USER, spending_calls, spending_days, spending_people
from selo_dagster.store.types import database_now

days, people, calls = spending_days, spending_people, spending_calls

REFUSED_TO_CLOSE: Final = 16
"""Calls of a kind refused in a row from which on no more of it are tried: one large one must not stop the small."""

PEOPLE_SHOWN: Final = 20
"""People who spent most, of whom `selo budget` tells."""


def gone(
    connection: Connection,
    budget: Budget,
    kind: str,
    now: datetime,
    *,
    light: bool = False,
    interactive: bool = False,
    refusals: int = REFUSED_TO_CLOSE,
) -> Over | None:
    """Return the cap of the fleet or of a kind that leaves no room for a call of it today; one look-up by key.

    What is reserved does not count: it may come back. light, interactive: as for `Asked`.
    """
    price = budget.prices(light=light)[-1]
    if price is None:
        return None
    spent: dict[Scope, Amount] = {FLEET: Amount(), KIND: Amount()}
    need = budget.least(price)
    for row in connection.execute(
        select(days).where(
            days.c.day == day_of(now),
            or_(days.c.scope == FLEET, and_(days.c.scope == KIND, days.c.subject == kind)),
        )
    ):
        spent[row.scope] = Amount(row.tokens, row.cost)
        if row.scope == KIND and row.refused >= refusals and row.refused_tokens is not None:
            need = need.greatest(Amount(row.refused_tokens, row.refused_cost))
    whose: tuple[tuple[Scope, str], ...] = ((FLEET, ""), (KIND, kind))
    for scope, subject in whose:
        cap = budget.cap(scope, interactive=interactive)
        unit = cap.exceeded_by(spent[scope] + need)
        if unit is not None:
            until = next_day(day_of(now))
            return Over(scope, subject, unit, cap.limit(unit), spent[scope].of(unit), need.of(unit), until)
    return None


def personal(connection: Connection, budget: Budget, user_id: str, now: datetime) -> Over | None:
    """Return the cap of one person if it can be what holds a call back: something of it is spent."""
    spent = connection.execute(
        select(people.c.tokens, people.c.cost).where(people.c.day == day_of(now), people.c.user_id == user_id)
    ).one_or_none()
    if spent is None:
        return None
    amount = Amount(spent.tokens, spent.cost)
    for unit in UNITS:
        cap = budget.user.of(unit)
        if cap is not None:
            return Over(USER, "", unit, cap, amount.of(unit), 0, next_day(day_of(now)))
    return None


@dataclass(frozen=True)
class Line:
    """One budget as it stands. subject: a kind, a person, or nothing; reserved: by calls under way."""

    scope: Scope
    subject: str
    cap: Cap
    spent: Amount
    reserved: Amount
    unheard: Amount
    calls: int
    beyond: int

    @property
    def exceeded(self) -> bool:
        """Whether more was spent than allowed."""
        return self.cap.exceeded_by(self.spent) is not None

    @property
    def document(self) -> dict[str, Any]:
        """The same, ready for JSON: tokens as numbers, money as exact text; None where nothing is bounded."""
        left: dict[str, Any] = {}
        for unit in UNITS:
            cap = self.cap.of(unit)
            rest = None if cap is None else cap - self.spent.of(unit) - self.reserved.of(unit)
            left[unit] = rest if rest is None or unit == "tokens" else shown(rest)
        return {
            "scope": self.scope,
            "subject": self.subject,
            "cap": {"tokens": self.cap.tokens, "cost": None if self.cap.cost is None else shown(self.cap.cost)},
            "spent": _document(self.spent),
            "reserved": _document(self.reserved),
            "left": left,
            "unheard": _document(self.unheard),
            "calls": self.calls,
            "exceeded": self.exceeded,
            "beyond_bounds": self.beyond,
        }


def _document(amount: Amount) -> dict[str, Any]:
    return {"tokens": amount.tokens, "cost": shown(amount.cost)}


def lines(connection: Connection, budget: Budget, now: datetime) -> list[Line]:
    """Return how the fleet's and the kinds' budgets of the day stand, the fleet's first."""
    day = day_of(now)
    reserved: dict[str, Amount] = {}
    for row in connection.execute(_reserved(day, calls.c.kind)):
        reserved[row.subject] = Amount(int(row.tokens), int(row.cost))
    total = sum(reserved.values(), Amount())
    found = {
        (row.scope, row.subject): row
        for row in connection.execute(select(days).where(days.c.day == day).order_by(days.c.scope, days.c.subject))
    }
    keys = [(FLEET, ""), *sorted(key for key in found if key[0] == KIND)]
    return [
        _line(scope, subject, budget, found.get((scope, subject)), total if scope == FLEET else reserved.get(subject))
        for scope, subject in keys
    ]


def spenders(connection: Connection, budget: Budget, now: datetime, limit: int = PEOPLE_SHOWN) -> list[Line]:
    """Return the people who spent most of their own budgets today; nobody where those are not bounded."""
    if not budget.user.given:
        return []
    day = day_of(now)
    rows = connection.execute(
        select(people)
        .where(people.c.day == day)
        .order_by(people.c.tokens.desc(), people.c.cost.desc(), people.c.user_id)
        .limit(limit)
    ).all()
    held = _reserved(day, calls.c.user_id).where(calls.c.user_id.in_([row.user_id for row in rows]))
    reserved = {row.subject: Amount(int(row.tokens), int(row.cost)) for row in connection.execute(held)}
    return [_line(USER, row.user_id, budget, row, reserved.get(row.user_id)) for row in rows]


def _reserved(day: date, whose: Any) -> Any:
    return (
        select(whose.label("subject"), func.sum(calls.c.tokens).label("tokens"), func.sum(calls.c.cost).label("cost"))
        .where(calls.c.day == day, calls.c.lost_at >= database_now())
        .group_by(whose)
    )


def _line(scope: Scope, subject: str, budget: Budget, row: Any, reserved: Amount | None) -> Line:
    cap = budget.cap(scope, interactive=True)
    if row is None:
        return Line(scope, subject, cap, Amount(), reserved or Amount(), Amount(), 0, 0)
    return Line(
        scope,
        subject,
        cap,
        Amount(row.tokens, row.cost),
        reserved or Amount(),
        Amount(row.unheard_tokens, row.unheard_cost),
        row.calls,
        row.beyond,
    )
